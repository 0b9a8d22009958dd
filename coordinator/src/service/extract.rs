//! What comes with a request: query, path, body. Whatever is wrong with them is a [`Problem`].

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem, cut};

/// A query, all of whose keys are known.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = Query::try_from_uri(&parts.uri);
        query
            .map(|Query(query)| Self(query))
            .map_err(|error| Problem::new(Kind::Query, cut(&error.body_text())))
    }
}

/// The variable parts of a path.
pub(crate) struct Named<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(named)) => Ok(Self(named)),
            Err(error) => Err(Problem::new(Kind::Path, cut(&error.body_text()))),
        }
    }
}

/// The kinds of body that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MediaType {
    Json,
    Yaml,
    Other,
}

/// The kind of body that the headers announce.
///
/// # Errors
/// When it is packed: nothing here unpacks bodies, so that a small one cannot become a large one.
pub(crate) fn media_type(headers: &HeaderMap) -> Result<MediaType, Problem> {
    if is_packed(headers) {
        return Err(packed());
    }
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = text.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    Ok(match essence.to_ascii_lowercase().as_str() {
        "application/json" => MediaType::Json,
        "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => MediaType::Yaml,
        _ => MediaType::Other,
    })
}

/// Whether the body is compressed.
pub(crate) fn is_packed(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|how| how != "identity")
}

pub(crate) fn packed() -> Problem {
    Problem::new(Kind::MediaType, "a packed body (`content-encoding`) is not taken")
}

/// The body, at most `max` bytes of it.
///
/// # Errors
/// When it is longer (refused at once where the headers say so) or breaks off.
pub(crate) async fn whole(headers: &HeaderMap, body: Body, max: u64) -> Result<Bytes, Problem> {
    check_length(headers, max)?;
    let mut stream = body.into_data_stream();
    let mut bytes = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::new(Kind::Body, "the body broke off"))?;
        if bytes.len() as u64 + chunk.len() as u64 > max {
            return Err(too_large(max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Refuses a body that says itself that it is too long.
///
/// # Errors
/// Then.
pub(crate) fn check_length(headers: &HeaderMap, max: u64) -> Result<(), Problem> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match length.map(str::parse::<u64>) {
        Some(Ok(length)) if length > max => Err(too_large(max)),
        _ => Ok(()),
    }
}

pub(crate) fn too_large(max: u64) -> Problem {
    Problem::new(Kind::TooLarge, format!("the body has more than {max} bytes"))
        .with("max_bytes", max.into())
}

/// A JSON body.
///
/// # Errors
/// When it is none, or of another shape.
pub(crate) async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    max: u64,
) -> Result<T, Problem> {
    if media_type(headers)? != MediaType::Json {
        return Err(Problem::new(Kind::MediaType, "the body must be application/json"));
    }
    parse(&whole(headers, body, max).await?)
}

/// JSON as a value.
///
/// # Errors
/// When it is none, or of another shape.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        Problem::new(Kind::Body, format!("not the JSON of this route: {}", cut(&error.to_string())))
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn parameters_and_case_of_a_media_type_count_for_nothing() {
        let of = |text| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            media_type(&headers).ok()
        };
        assert_eq!(of("Application/JSON; charset=utf-8"), Some(MediaType::Json));
        assert_eq!(of("text/yaml"), Some(MediaType::Yaml));
        assert_eq!(of("text/plain"), Some(MediaType::Other));
    }

    #[tokio::test]
    async fn a_body_is_cut_off_at_its_bound_whatever_its_headers_say() {
        let none = HeaderMap::new();
        assert_eq!(whole(&none, Body::from("12345"), 5).await.unwrap(), "12345");
        assert_eq!(whole(&none, Body::from("123456"), 5).await.unwrap_err().kind, Kind::TooLarge);
    }
}
