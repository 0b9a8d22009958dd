//! What stands before every route: its role, the number of requests at a time, its time.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;

use super::app::{App, place};
use super::problem::{Kind, Problem};
use super::tokens::Role;
use crate::dashboard::session::{self, Viewer};

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody: probes and the description of the API.
    Open,
    /// Holders of a token of this role or a greater one.
    Needs(Role),
}

/// How long an answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Of probes: not counted among the requests either, so that a busy coordinator does not look like a dead one.
    Probe,
    /// Of questions to the store.
    Quick,
    /// Of what takes a core for long: plans and reports.
    Slow,
    /// As long as it takes: streams look after themselves.
    Stream,
}

impl Pace {
    fn limit(self) -> Option<Duration> {
        match self {
            Self::Probe => Some(Duration::from_secs(5)),
            Self::Quick => Some(Duration::from_secs(30)),
            Self::Slow => Some(Duration::from_secs(300)),
            Self::Stream => None,
        }
    }
}

/// What a gate needs to know.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) app: App,
    /// A page for people: who may not see it is led to the login, and a cookie may change something with a form of ours.
    pub(crate) page: bool,
    pub(crate) access: Access,
    pub(crate) pace: Pace,
}

/// Lets a request through, or says why not.
pub(crate) async fn gate(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let Gate { app, page, access, pace } = gate;
    match allowed(&app, page, access, request.method(), request.headers()) {
        Ok(viewer) => request.extensions_mut().insert(viewer),
        Err(problem) if page && problem.kind == Kind::Token => {
            // A form that outlived its session: there is no page to go on to.
            let back =
                if request.method().is_safe() { request.uri().to_string() } else { "/".to_owned() };
            return session::see_other(&session::login_for(&back));
        }
        Err(problem) => return problem.into_response(),
    };
    let _place = match pace {
        Pace::Probe => None,
        _ => match place(&app.requests) {
            Ok(place) => Some(place),
            Err(problem) => return problem.into_response(),
        },
    };
    let answer = next.run(request);
    match pace.limit() {
        None => answer.await,
        Some(limit) => match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer,
            Err(_) => {
                Problem::new(Kind::Timeout, format!("no answer within {} s", limit.as_secs()))
                    .into_response()
            }
        },
    }
}

fn allowed(
    app: &App,
    page: bool,
    access: Access,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Viewer, Problem> {
    let Access::Needs(role) = access else { return Ok(Viewer::without_session(Role::Read)) };
    if app.tokens.is_empty() {
        from_here(method, headers)?;
        return Ok(Viewer::without_session(Role::Admin));
    }
    let shown = bearer(headers);
    // Beyond pages a cookie only reads: what changes something needs a form of ours, or a token that no browser sends by itself.
    let kept = if page || method.is_safe() { session::token(headers) } else { None };
    let (token, by_cookie) = match (shown, kept) {
        (Some(token), _) => (token, false),
        (None, Some(token)) => (token, true),
        (None, None) => {
            let text = format!("send `Authorization: Bearer TOKEN` with a token of role {role}");
            return Err(Problem::new(Kind::Token, text));
        }
    };
    let own = match app.tokens.role(&token) {
        None => return Err(Problem::new(Kind::Token, "the token is not known here")),
        Some(own) if own < role => {
            let text = format!("this needs role {role}, but the token has role {own}");
            return Err(Problem::new(Kind::Role, text));
        }
        Some(own) => own,
    };
    if !by_cookie {
        return Ok(Viewer::without_session(own));
    }
    if !method.is_safe() && !is_own(headers) {
        return Err(Problem::new(
            Kind::Origin,
            "a page of another site may not change anything here",
        ));
    }
    Ok(Viewer::with_session(own, &token))
}

fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| SecretString::from(token.trim()))
}

/// Without tokens whoever reaches the port may do everything. A web page in this machine's browser reaches it too: its requests
/// name another host (rebound names) or come from another site.
fn from_here(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |why: &str| Err(Problem::new(Kind::Origin, why));
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if !is_loopback(host) {
        return refused("without tokens only requests to localhost are answered");
    }
    if method.is_safe() {
        return Ok(());
    }
    if is_foreign(headers) {
        return refused("a page of another site may not change anything here");
    }
    Ok(())
}

/// Whether a browser says that a page of another site asks.
pub(crate) fn is_foreign(headers: &HeaderMap) -> bool {
    let from_site =
        headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    from_site || own_origin(headers) == Some(false)
}

/// Whether a browser says that a page of ours asks.
fn is_own(headers: &HeaderMap) -> bool {
    let from_site = headers.get("sec-fetch-site").map(|site| site == "same-origin");
    let own_origin = own_origin(headers);
    from_site != Some(false) && own_origin != Some(false) && (from_site, own_origin) != (None, None)
}

/// Whether the page that asks has the address that is asked; `None` where the browser does not say.
fn own_origin(headers: &HeaderMap) -> Option<bool> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    headers.get(header::ORIGIN)?;
    Some(text(header::ORIGIN)?.split_once("://").is_some_and(|(_, from)| from == host))
}

/// Whether a `Host` is this machine by name or number.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Headers on every answer: nothing here is to be framed, guessed at, or kept by others.
pub(crate) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Measures every answer, by the template of its route.
pub(crate) async fn measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE") => known.to_owned(),
        _ => "other".to_owned(),
    };
    let begun = Instant::now();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let (status, seconds) = (response.status().as_u16(), begun.elapsed().as_secs_f64());
    app.metrics.answered(route, &method, status, seconds);
    tracing::debug!(method, route, status, seconds, "answered");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_are_told_from_rebound_ones() {
        for host in ["localhost:7878", "127.0.0.1", "127.1.2.3:80", "[::1]:7878", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example:7878", "10.0.0.1:7878", "127.0.0.1.evil:1"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }

    fn asked(method: Method, given: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:7878"));
        for (name, value) in given {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        from_here(&method, &headers).is_ok()
    }

    #[test]
    fn a_session_changes_something_only_from_its_own_pages() {
        let own = |given: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("sweep.example"));
            for (name, value) in given {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            is_own(&headers)
        };
        assert!(own(&[("sec-fetch-site", "same-origin")]));
        assert!(own(&[("origin", "https://sweep.example")]));
        assert!(!own(&[]));
        assert!(!own(&[("sec-fetch-site", "none")]));
        assert!(!own(&[("sec-fetch-site", "same-site"), ("origin", "https://sweep.example")]));
        assert!(!own(&[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")]));
        assert!(!own(&[("origin", "null")]));
    }

    #[test]
    fn without_tokens_a_page_of_another_site_changes_nothing() {
        assert!(asked(Method::POST, &[]));
        assert!(asked(Method::POST, &[("origin", "http://127.0.0.1:7878")]));
        assert!(!asked(Method::POST, &[("origin", "http://evil.example")]));
        assert!(!asked(Method::POST, &[("origin", "null")]));
        assert!(!asked(Method::PUT, &[("sec-fetch-site", "cross-site")]));
        assert!(asked(Method::GET, &[("sec-fetch-site", "cross-site")]));
        assert!(!asked(Method::GET, &[("host", "evil.example")]));
    }
}
