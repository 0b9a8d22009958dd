//! The table of routes: who may ask, how long it may take, who answers. Router, description and tests are made from it.

use axum::Router;
use axum::http::{HeaderMap, Version, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, head, patch, post, put};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use utoipa::openapi::path::HttpMethod;

use super::app::App;
use super::gate::{self, Access, Gate, Pace};
use super::problem::{self, Kind, Problem};
use super::tokens::Role;
use super::{blobs, events, health, leftover, openapi, reports, runs, submission, sweeps};
use crate::dashboard::{
    actions, assets, compare, list, live, page, pictures, run, session, workers,
};

/// One route.
pub(crate) struct Route {
    /// For people, not for programs: not in the description of the API.
    pub(crate) page: bool,
    pub(crate) method: HttpMethod,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) pace: Pace,
    handler: MethodRouter<App>,
}

/// All routes.
pub(crate) fn table() -> Vec<Route> {
    use HttpMethod::{Delete, Get, Head, Patch, Post, Put};
    use Pace::{Probe, Quick, Slow, Stream};
    const READ: Access = Access::Needs(Role::Read);
    const SUBMIT: Access = Access::Needs(Role::Submit);
    const ADMIN: Access = Access::Needs(Role::Admin);
    let route = |method, path, access, pace, handler| Route {
        page: false,
        method,
        path,
        access,
        pace,
        handler,
    };
    let mut table = vec![
        route(Post, "/api/v1/sweeps", SUBMIT, Slow, post(submission::submit)),
        route(Get, "/api/v1/sweeps", READ, Quick, get(sweeps::list)),
        route(Get, "/api/v1/sweeps/{sweep}", READ, Quick, get(sweeps::get)),
        route(Patch, "/api/v1/sweeps/{sweep}", SUBMIT, Quick, patch(sweeps::change)),
        route(Get, "/api/v1/sweeps/{sweep}/runs", READ, Quick, get(sweeps::runs)),
        route(Get, "/api/v1/sweeps/{sweep}/report", READ, Slow, get(reports::report)),
        route(Get, "/api/v1/sweeps/{sweep}/events", READ, Stream, get(events::of_sweep)),
        route(Post, "/api/v1/sweeps/{sweep}/pause", SUBMIT, Quick, post(sweeps::pause)),
        route(Post, "/api/v1/sweeps/{sweep}/resume", SUBMIT, Quick, post(sweeps::resume)),
        route(Post, "/api/v1/sweeps/{sweep}/cancel", SUBMIT, Quick, post(sweeps::cancel)),
        route(Post, "/api/v1/sweeps/{sweep}/retry", SUBMIT, Quick, post(sweeps::retry)),
        // A reader's look is what this counts.
        route(Post, "/api/v1/sweeps/{sweep}/reported", READ, Quick, post(sweeps::reported)),
        route(Get, "/api/v1/events", READ, Stream, get(events::all)),
        route(Get, "/api/v1/runs/{run}", READ, Slow, get(runs::get)),
        route(Get, "/api/v1/runs/{run}/curves", READ, Slow, get(runs::curves)),
        // A question with a body: it changes nothing.
        route(Post, "/api/v1/states", READ, Quick, post(sweeps::run_states)),
        route(Get, "/api/v1/workers", READ, Quick, get(runs::workers)),
        route(Post, "/api/v1/workers/{worker}/drain", ADMIN, Quick, post(runs::drain)),
        route(Head, "/api/v1/blobs/{digest}", READ, Quick, head(blobs::head)),
        route(Get, "/api/v1/blobs/{digest}", READ, Stream, get(blobs::get)),
        route(Put, "/api/v1/blobs/{digest}", SUBMIT, Stream, put(blobs::put)),
        route(Delete, "/api/v1/blobs/{digest}", SUBMIT, Quick, delete(blobs::delete)),
        route(Get, "/api/v1/demand", READ, Quick, get(runs::demand)),
        route(Get, "/api/v1/openapi.json", Access::Open, Quick, get(openapi::document)),
        route(Get, "/healthz", Access::Open, Probe, get(health::healthz)),
        route(Get, "/readyz", Access::Open, Probe, get(health::readyz)),
        route(Get, "/metrics", READ, Probe, get(health::metrics)),
    ];
    table.extend(pages());
    table
}

/// The dashboard.
fn pages() -> Vec<Route> {
    use HttpMethod::{Get, Post};
    use Pace::{Quick, Slow, Stream};
    const READ: Access = Access::Needs(Role::Read);
    const SUBMIT: Access = Access::Needs(Role::Submit);
    const ADMIN: Access = Access::Needs(Role::Admin);
    let route = |method, path, access, pace, handler| Route {
        page: true,
        method,
        path,
        access,
        pace,
        handler,
    };
    vec![
        route(Get, "/", READ, Quick, get(list::get)),
        route(Get, "/sweeps/{sweep}", READ, Slow, get(page::get)),
        route(Get, "/sweeps/{sweep}/figure", READ, Slow, get(page::figure)),
        route(Get, "/sweeps/{sweep}/live", READ, Stream, get(live::get)),
        route(Post, "/sweeps/{sweep}/pause", SUBMIT, Quick, post(actions::pause)),
        route(Post, "/sweeps/{sweep}/resume", SUBMIT, Quick, post(actions::resume)),
        route(Post, "/sweeps/{sweep}/cancel", SUBMIT, Quick, post(actions::cancel)),
        route(Post, "/sweeps/{sweep}/retry", SUBMIT, Quick, post(actions::retry)),
        route(Get, "/runs/{run}", READ, Slow, get(run::get)),
        route(Get, "/runs/{run}/images/{image}", READ, Slow, get(pictures::get)),
        route(Get, "/workers", READ, Quick, get(workers::get)),
        route(Post, "/workers/{worker}/drain", ADMIN, Quick, post(workers::drain)),
        route(Get, "/compare", READ, Slow, get(compare::get)),
        route(Get, "/login", Access::Open, Quick, get(session::login_page)),
        route(Post, "/login", Access::Open, Quick, post(session::login)),
        route(Post, "/logout", READ, Quick, post(session::logout)),
        route(Get, "/assets/{name}", Access::Open, Quick, get(assets::get)),
    ]
}

/// The API.
pub(crate) fn router(app: &App) -> Router {
    let mut router = Router::new();
    for route in table() {
        let gate =
            Gate { app: app.clone(), page: route.page, access: route.access, pace: route.pace };
        // `head` of a route that only has `get` goes through its gate as well.
        let handler = route.handler.route_layer(from_fn_with_state(gate, gate::gate));
        router = router.route(route.path, handler);
    }
    router
        .fallback(async || {
            Problem::new(
                Kind::Route,
                "no such resource (`/api/v1/openapi.json` lists what there is)",
            )
        })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(problem::render))
        .layer(from_fn(gate::headers))
        .layer(CompressionLayer::new().compress_when(is_worth_packing))
        .layer(from_fn_with_state(app.clone(), gate::measure))
        .layer(from_fn(leftover::read_on))
        .with_state(app.clone())
}

/// Probes and metrics, for a port of their own, which needs no token.
pub(crate) fn probes(app: &App) -> Router {
    let mut router = Router::new();
    for route in table().into_iter().filter(|route| route.pace == Pace::Probe) {
        let gate = Gate { app: app.clone(), page: false, access: Access::Open, pace: route.pace };
        router = router
            .route(route.path, route.handler.route_layer(from_fn_with_state(gate, gate::gate)));
    }
    router
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(problem::render))
        .layer(from_fn(gate::headers))
        .with_state(app.clone())
}

/// A fault of ours ends one answer, and its text goes to the log alone.
fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
    Problem::internal(text).into_response()
}

/// Texts, if they are long; never streams of events, which packing would hold back, nor blobs, which have ranges.
fn is_worth_packing(
    _: axum::http::StatusCode,
    _: Version,
    headers: &HeaderMap,
    _: &axum::http::Extensions,
) -> bool {
    /// Below, packing costs more than it saves.
    const LEAST: u64 = 1024;
    let text =
        |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    let long = text(header::CONTENT_LENGTH)
        .and_then(|length| length.parse::<u64>().ok())
        .is_none_or(|bytes| bytes >= LEAST);
    let kind = text(header::CONTENT_TYPE).unwrap_or_default();
    let is_text = kind.starts_with("text/") || kind.starts_with("application/json");
    long && is_text && !kind.starts_with("text/event-stream")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_everything_described_is_a_route() {
        let document = openapi::whole();
        assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                described.insert(format!("{method} {path}"));
                assert!(operation["summary"].is_string(), "{method} {path} has no summary");
                assert!(operation["security"].is_array(), "{method} {path} has no role");
                let problem =
                    &operation["responses"]["default"]["content"]["application/problem+json"];
                assert_eq!(problem["schema"]["$ref"], "#/components/schemas/Problem");
            }
        }
        let name = |route: &Route| {
            let method = serde_json::to_value(&route.method).unwrap();
            format!("{} {}", method.as_str().unwrap(), route.path)
        };
        let routes: BTreeSet<_> = table().iter().map(name).collect();
        assert_eq!(routes.len(), table().len());
        let api: BTreeSet<_> = table().iter().filter(|route| !route.page).map(name).collect();
        assert_eq!(api, described);
    }

    #[test]
    fn every_shape_that_is_named_is_there() {
        let document = openapi::whole();
        let text = document.to_string();
        let shapes = document["components"]["schemas"].as_object().unwrap();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(shapes.contains_key(name), "{name}");
        }
        let problems = document["x-problems"].as_array().unwrap();
        assert_eq!(problems.len(), Kind::ALL.len());
    }
}
