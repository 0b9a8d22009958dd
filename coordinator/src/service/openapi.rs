//! The API's description (`OpenAPI` 3.1), made from the handlers and the table of routes.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use serde_json::Value;
use utoipa::OpenApi;
use utoipa::openapi::path::{HttpMethod, Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};

use super::gate::Access;
use super::problem::Kind;
use super::routes::{self, Route};
use super::{blobs, events, health, reports, runs, schema, submission, sweeps};

#[derive(OpenApi)]
#[openapi(
    info(title = "sweep coordinator", description = "Submit sweeps, follow them live, read their results. Errors are RFC 9457 problem documents; pages are cursors. See docs/http.md."),
    paths(
        submission::submit, sweeps::list, sweeps::get, sweeps::change, sweeps::runs, sweeps::pause, sweeps::resume, sweeps::cancel,
        sweeps::retry, sweeps::reported, reports::report, events::of_sweep, events::all, runs::get, runs::curves, sweeps::run_states,
        runs::workers, runs::drain, runs::demand, blobs::head, blobs::get, blobs::put, blobs::delete, document, health::healthz, health::readyz,
        health::metrics,
    ),
    components(schemas(schema::Problem, schema::Event, schema::Format, schema::StateName)),
    tags(
        (name = "sweeps", description = "Submit, list, steer, report"),
        (name = "runs", description = "One run: state, attempts, curves"),
        (name = "workers", description = "Slots and demand"),
        (name = "blobs", description = "Files by digest"),
        (name = "service", description = "Probes, metrics, this description"),
    )
)]
struct Described;

/// This description
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "service",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
pub(crate) async fn document() -> impl IntoResponse {
    static TEXT: LazyLock<String> = LazyLock::new(|| whole().to_string());
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str())
}

/// The description with the role and the problems of each route.
pub(crate) fn whole() -> Value {
    let mut api = Described::openapi();
    let components = api.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "A token of the coordinator's; each operation names the smallest role that may do it (read < submit < admin). A coordinator \
         on loopback without tokens takes requests without.",
    ));
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
    for route in routes::table() {
        let operation = api
            .paths
            .paths
            .get_mut(route.path)
            .and_then(|item| operation(item, &route.method).as_mut());
        if let Some(operation) = operation {
            complete(operation, &route);
        }
    }
    let mut document = serde_json::to_value(&api).unwrap_or_default();
    let kinds: Vec<Value> = Kind::ALL
        .iter()
        .map(|kind| serde_json::json!({ "type": kind.uri(), "status": kind.status().as_u16(), "title": kind.title() }))
        .collect();
    document["x-problems"] = kinds.into();
    document
}

/// The operation of a method.
fn operation<'a>(item: &'a mut PathItem, method: &HttpMethod) -> &'a mut Option<Operation> {
    match method {
        HttpMethod::Get => &mut item.get,
        HttpMethod::Put => &mut item.put,
        HttpMethod::Post => &mut item.post,
        HttpMethod::Delete => &mut item.delete,
        HttpMethod::Options => &mut item.options,
        HttpMethod::Head => &mut item.head,
        HttpMethod::Patch => &mut item.patch,
        HttpMethod::Trace => &mut item.trace,
    }
}

fn complete(operation: &mut Operation, route: &Route) {
    let security = match route.access {
        Access::Open => SecurityRequirement::default(),
        Access::Needs(role) => SecurityRequirement::new("bearer", [role.as_str()]),
    };
    operation.security = Some(vec![security]);
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let problem = ResponseBuilder::new()
        .description("What is wrong, as a problem document")
        .content("application/problem+json", content);
    operation.responses.responses.insert("default".to_owned(), problem.build().into());
}
