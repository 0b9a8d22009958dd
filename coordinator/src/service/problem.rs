//! What goes wrong, as RFC 9457 problem documents: one closed list of kinds, the same text that the command prints.
//!
//! A handler returns a [`Problem`]; [`render`] writes it, and turns every bare error status of a library into one as well.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use sweep_core::file::SweepFileError;
use sweep_store::StoreError;

use crate::dashboard::{frame, session};
use crate::find::FindError;
use crate::submit::SubmitError;
use crate::view::ViewError;

/// Characters of user text that a message may repeat.
const SHOWN: usize = 200;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $status:literal $slug:literal $title:literal;)*) => {
        /// Every kind of problem there is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// All of them, for the API's description.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Status, last part of the `type`, title.
            fn facts(self) -> (u16, &'static str, &'static str) {
                match self { $(Self::$name => ($status, $slug, $title),)* }
            }
        }
    };
}

kinds! {
    /// A query that is not one of this route.
    Query = 400 "query" "the query is wrong";
    /// A part of the path that is no id, digest or name.
    Path = 400 "path" "the path is wrong";
    /// A body that is not what this route takes.
    Body = 400 "body" "the body is wrong";
    /// No or a wrong token.
    Token = 401 "token" "a token is needed";
    /// A token of a smaller role.
    Role = 403 "role" "the token may not do this";
    /// A web page of elsewhere asks through a person's browser.
    Origin = 403 "origin" "requests of other sites are refused";
    /// No such route.
    Route = 404 "route" "no such resource";
    /// No such sweep.
    UnknownSweep = 404 "unknown-sweep" "no such sweep";
    /// No such run.
    UnknownRun = 404 "unknown-run" "no such run";
    /// No such worker.
    UnknownWorker = 404 "unknown-worker" "no such worker";
    /// No such blob.
    UnknownBlob = 404 "unknown-blob" "no such blob";
    /// Another pool than the one of this coordinator.
    UnknownPool = 404 "unknown-pool" "no such pool";
    /// The route has no such method.
    Method = 405 "method" "the method is not allowed here";
    /// The body did not arrive in time.
    Slow = 408 "slow" "the request took too long to arrive";
    /// A prefix of several ids.
    Ambiguous = 409 "ambiguous" "more than one is meant";
    /// Files that the sweep needs are not here: `missing` lists them. Upload them and send the sweep again.
    MissingInputs = 409 "missing-inputs" "files of the sweep are missing";
    /// A blob that something points to.
    Needed = 409 "needed" "it is needed";
    /// The sweep is in a state that does not allow this.
    Conflict = 409 "conflict" "not in this state";
    /// More bytes than allowed.
    TooLarge = 413 "too-large" "the body is too large";
    /// A body of another kind.
    MediaType = 415 "media-type" "the kind of body is not known here";
    /// A range beyond the end of a blob.
    Range = 416 "range" "the range is beyond the end";
    /// A wrong sweep file: `errors` has each place.
    SweepFile = 422 "sweep-file" "the sweep file is wrong";
    /// A value out of range.
    Value = 422 "value" "a value is wrong";
    /// Bytes that do not have the digest they were sent under.
    Digest = 422 "digest" "the bytes are not those of the digest";
    /// A fault of the coordinator or damaged data.
    Internal = 500 "internal" "something broke";
    /// Too many requests at a time: try again.
    Busy = 503 "busy" "too busy";
    /// The store cannot be reached: try again.
    Store = 503 "store" "the store does not answer";
    /// The answer was not ready in time: try again.
    Timeout = 503 "timeout" "the answer took too long";
    /// Blobs cannot be read or written: try again.
    Blobs = 503 "blobs" "the blobs do not answer";
}

impl Kind {
    /// Its status.
    pub(crate) fn status(self) -> StatusCode {
        StatusCode::from_u16(self.facts().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Its `type`, relative to this server.
    pub(crate) fn uri(self) -> String {
        format!("/problems/{}", self.facts().1)
    }

    /// Its title.
    pub(crate) fn title(self) -> &'static str {
        self.facts().2
    }

    /// The kind that a library's bare status stands for.
    fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            404 => Self::Route,
            405 => Self::Method,
            408 => Self::Slow,
            413 => Self::TooLarge,
            415 => Self::MediaType,
            503 => Self::Busy,
            400..500 => Self::Body,
            _ => Self::Internal,
        }
    }
}

/// One problem, to be written by [`render`].
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    detail: String,
    more: Map<String, Value>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), more: Map::new() }
    }

    /// With a further member.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// A fault of ours: told to the log, not to the client.
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed inside the coordinator");
        Self::new(Kind::Internal, "the coordinator's log says more")
    }

    /// What is wrong, for people.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    fn document(&self, instance: &str) -> Value {
        let mut document = json!({
            "type": self.kind.uri(),
            "title": self.kind.title(),
            "status": self.kind.status().as_u16(),
            "detail": self.detail,
            "instance": instance,
        });
        if let Value::Object(fields) = &mut document {
            fields.extend(self.more.clone());
        }
        document
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        if self.kind == Kind::Token {
            let challenge = HeaderValue::from_static("Bearer realm=\"sweep\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if self.kind.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the problem of a response, where it is one.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let instance = cut(request.uri().path()).to_owned();
    let for_people = is_for_people(&request);
    let response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    // A page that says itself what is wrong.
    if response.extensions().get::<session::Said>().is_some() {
        return response;
    }
    let problem = response
        .extensions()
        .get::<Problem>()
        .cloned()
        .unwrap_or_else(|| Problem::new(Kind::of(status), Kind::of(status).title()));
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    if for_people {
        let (page, body) = frame::problem(&problem).into_response().into_parts();
        parts.headers.extend(page.headers);
        return Response::from_parts(parts, body);
    }
    parts
        .headers
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    Response::from_parts(parts, Body::from(problem.document(&instance).to_string()))
}

/// Whether a browser asked for a page: a person reads the answer.
fn is_for_people(request: &Request) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|kinds| kinds.contains("text/html"))
        && !request.uri().path().starts_with("/api/")
}

/// The beginning of a text of a user.
pub(crate) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN)]
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            error if error.is_retryable() => Kind::Store,
            StoreError::UnknownSweep { .. } => Kind::UnknownSweep,
            StoreError::CancelledSweep { .. } | StoreError::Round { .. } => Kind::Conflict,
            StoreError::Weight { .. } | StoreError::Band { .. } | StoreError::Cap => Kind::Value,
            StoreError::Cursor(_) => Kind::Query,
            _ => return Self::internal(error),
        };
        if kind == Kind::Store {
            tracing::warn!(%error, "the store does not answer");
        }
        Self::new(kind, error.to_string())
    }
}

impl From<FindError> for Problem {
    fn from(error: FindError) -> Self {
        let kind = match error {
            FindError::UnknownSweep { .. } => Kind::UnknownSweep,
            FindError::UnknownRun(_) => Kind::UnknownRun,
            FindError::Ambiguous { .. } => Kind::Ambiguous,
            FindError::Store(error) => return error.into(),
        };
        Self::new(kind, error.to_string())
    }
}

impl From<SweepFileError> for Problem {
    fn from(error: SweepFileError) -> Self {
        let place = |p: &sweep_core::file::Problem| json!({ "line": p.line, "column": p.column, "message": p.message });
        let places = error.problems().map(place).collect();
        Self::new(Kind::SweepFile, error.to_string()).with("errors", places)
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Store(error) => error.into(),
            SubmitError::Document(_) => Self::internal(error),
        }
    }
}

impl From<ViewError> for Problem {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::Store(error) => error.into(),
            ViewError::Unknown(_) => Self::new(Kind::UnknownSweep, error.to_string()),
            ViewError::Document(_) => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_type_of_its_own_and_an_error_status() {
        let types: std::collections::BTreeSet<_> =
            Kind::ALL.iter().map(|kind| kind.uri()).collect();
        assert_eq!(types.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert!(kind.status().is_client_error() || kind.status().is_server_error());
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "ä".repeat(SHOWN);
        assert_eq!(cut(&text).len(), SHOWN);
    }
}
