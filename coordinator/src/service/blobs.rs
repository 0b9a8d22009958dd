//! Blobs by digest: packed data sets, weights, checkpoints. Taken in as streams, checked, handed out whole or in ranges.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use sweep_core::ids::Digest;
use sweep_store::blobs::{BlobError, Reading, live};

use super::app::{App, place};
use super::extract::{self, Named};
use super::problem::{Kind, Problem, cut};
use super::schema;

/// A sender that is silent for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);

fn digest(text: &str) -> Result<Digest, Problem> {
    text.parse().map_err(|_| {
        let shown = cut(text);
        Problem::new(
            Kind::Path,
            format!("`{shown}` is not a digest (64 lower-case hexadecimal digits)"),
        )
    })
}

fn unknown(digest: &Digest) -> Problem {
    Problem::new(Kind::UnknownBlob, format!("no blob {digest}"))
}

/// A blob is what its name says, for ever.
fn describe(headers: &mut HeaderMap, digest: &Digest) {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{digest}\"")) {
        headers.insert(header::ETAG, tag);
    }
    for (name, value) in [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::ACCEPT_RANGES, "bytes"),
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Whether there is a blob, and its size
#[utoipa::path(head, path = "/api/v1/blobs/{digest}", tag = "blobs",
    params(("digest" = String, Path, description = "blake3 of its bytes, 64 lower-case hexadecimal digits")),
    responses((status = 200, description = "There is: `content-length` is its size")))]
pub(crate) async fn head(
    State(app): State<App>,
    Named(name): Named<String>,
) -> Result<Response, Problem> {
    let digest = digest(&name)?;
    let bytes = app.blobs.head(&digest).await?.ok_or_else(|| unknown(&digest))?;
    let mut response = StatusCode::OK.into_response();
    describe(response.headers_mut(), &digest);
    response.headers_mut().insert(header::CONTENT_LENGTH, bytes.into());
    Ok(response)
}

/// A blob, or a range of it
#[utoipa::path(get, path = "/api/v1/blobs/{digest}", tag = "blobs",
    params(("digest" = String, Path, description = "blake3 of its bytes, 64 lower-case hexadecimal digits"),
           ("range" = Option<String>, Header, description = "One range of bytes, as `bytes=1000-`")),
    responses((status = 200, description = "All of it", body = schema::Bytes, content_type = "application/octet-stream"),
              (status = 206, description = "The range", body = schema::Bytes, content_type = "application/octet-stream"),
              (status = 304, description = "The client has it (`if-none-match`)")))]
pub(crate) async fn get(
    State(app): State<App>,
    Named(name): Named<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let digest = digest(&name)?;
    let size = app.blobs.head(&digest).await?.ok_or_else(|| unknown(&digest))?;
    let tag = format!("\"{digest}\"");
    let names = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if names(header::IF_NONE_MATCH).is_some_and(|tags| tags == "*" || tags.contains(&tag)) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        describe(response.headers_mut(), &digest);
        return Ok(response);
    }
    // A range of another version would be one of another blob; there is none.
    let same = names(header::IF_RANGE).is_none_or(|known| known == tag);
    let asked = names(header::RANGE).filter(|_| same).map_or(Part::All, |text| part(text, size));
    let asked = match asked {
        Part::All => None,
        Part::Of { from, to } => Some(from..to + 1),
        Part::Beyond => {
            let text = format!("the blob has {size} bytes");
            let mut response = Problem::new(Kind::Range, text).into_response();
            let told = text_header(format!("bytes */{size}"));
            response.headers_mut().insert(header::CONTENT_RANGE, told);
            return Ok(response);
        }
    };
    let is_part = asked.is_some();
    let Reading { size, range, bytes } = app.blobs.read(&digest, asked).await?;
    let mut response = Response::new(Body::from_stream(bytes));
    let headers = response.headers_mut();
    describe(headers, &digest);
    headers.insert(header::CONTENT_LENGTH, (range.end - range.start).into());
    if is_part {
        let told = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        headers.insert(header::CONTENT_RANGE, text_header(told));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

fn text_header(text: String) -> HeaderValue {
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// What a `Range` header asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    All,
    /// Both inclusive.
    Of {
        from: u64,
        to: u64,
    },
    Beyond,
}

/// One range of a blob of `size` bytes. Several at once, other units and nonsense mean all of it, as HTTP allows.
fn part(text: &str, size: u64) -> Part {
    let Some((from, to)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Part::All;
    };
    match (from.trim(), to.trim()) {
        ("", last) => match last.parse::<u64>() {
            Ok(0) => Part::Beyond,
            Ok(_) if size == 0 => Part::Beyond,
            Ok(last) => Part::Of { from: size.saturating_sub(last), to: size - 1 },
            Err(_) => Part::All,
        },
        (from, to) => {
            let (Ok(from), Ok(to)) =
                (from.parse::<u64>(), if to.is_empty() { Ok(u64::MAX) } else { to.parse() })
            else {
                return Part::All;
            };
            if from > to {
                Part::All
            } else if from >= size {
                Part::Beyond
            } else {
                Part::Of { from, to: to.min(size - 1) }
            }
        }
    }
}

/// Store a blob; its bytes must have the digest of its name
#[utoipa::path(put, path = "/api/v1/blobs/{digest}", tag = "blobs",
    params(("digest" = String, Path, description = "blake3 of its bytes, 64 lower-case hexadecimal digits")),
    request_body(content = schema::Bytes, content_type = "application/octet-stream"),
    responses((status = 201, description = "Stored, durably"), (status = 200, description = "It was there")))]
pub(crate) async fn put(
    State(app): State<App>,
    Named(name): Named<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let digest = digest(&name)?;
    if extract::is_packed(&headers) {
        return Err(extract::packed());
    }
    extract::check_length(&headers, app.max_blob)?;
    let _place = place(&app.uploads)?;
    let known = app.blobs.head(&digest).await?.is_some();
    app.blobs.receive(&digest, app.max_blob, arriving(body)).await?;
    Ok(if known { StatusCode::OK } else { StatusCode::CREATED })
}

/// The bytes of a body; an error once they stop coming.
fn arriving(body: Body) -> impl Stream<Item = io::Result<Bytes>> {
    futures_util::stream::unfold(Some(body.into_data_stream()), async |stream| {
        let mut stream = stream?;
        match tokio::time::timeout(SILENCE, stream.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(piece))) => Some((Ok(piece), Some(stream))),
            Ok(Some(Err(error))) => Some((Err(io::Error::other(error)), None)),
            Err(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
        }
    })
}

/// Free a blob that nothing needs: workers do so with checkpoints that newer ones replace
#[utoipa::path(delete, path = "/api/v1/blobs/{digest}", tag = "blobs",
    params(("digest" = String, Path, description = "blake3 of its bytes, 64 lower-case hexadecimal digits")),
    responses((status = 204, description = "It is gone")))]
pub(crate) async fn delete(
    State(app): State<App>,
    Named(name): Named<String>,
) -> Result<StatusCode, Problem> {
    let digest = digest(&name)?;
    if live(&app.store).await?.contains(&digest) {
        let text = format!("blob {digest} is needed: an unfinished run or a sweep points to it");
        return Err(Problem::new(Kind::Needed, text));
    }
    // Asked first, because some object stores say yes to everything.
    if app.blobs.head(&digest).await?.is_none() || !app.blobs.delete(&digest).await? {
        return Err(unknown(&digest));
    }
    Ok(StatusCode::NO_CONTENT)
}

impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        let kind = match &error {
            BlobError::Missing { .. } => Kind::UnknownBlob,
            BlobError::Damaged { .. } => Kind::Digest,
            BlobError::TooLarge { limit, .. } => return extract::too_large(*limit),
            BlobError::Body { source } if source.kind() == io::ErrorKind::TimedOut => {
                let text = format!("nothing came for {} s", SILENCE.as_secs());
                return Self::new(Kind::Slow, text);
            }
            BlobError::Body { .. } => return Self::new(Kind::Body, "the body broke off"),
            error if error.is_retryable() => {
                // The message names files and hosts of ours.
                tracing::warn!(%error, "the blobs cannot be read or written");
                return Self::new(Kind::Blobs, "the coordinator's log says more");
            }
            _ => return Self::internal(error),
        };
        Self::new(kind, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_says() {
        for (text, expected) in [
            ("bytes=0-0", Part::Of { from: 0, to: 0 }),
            ("bytes=3-", Part::Of { from: 3, to: 9 }),
            ("bytes=3-100", Part::Of { from: 3, to: 9 }),
            ("bytes=-4", Part::Of { from: 6, to: 9 }),
            ("bytes=-40", Part::Of { from: 0, to: 9 }),
            ("bytes=10-", Part::Beyond),
            ("bytes=-0", Part::Beyond),
            ("bytes=5-3", Part::All),
            ("bytes=0-1,3-4", Part::All),
            ("lines=0-1", Part::All),
            ("bytes=-", Part::All),
            ("bytes=99999999999999999999-", Part::All),
        ] {
            assert_eq!(part(text, 10), expected, "{text}");
        }
        assert_eq!(part("bytes=0-", 0), Part::Beyond);
        assert_eq!(part("bytes=-1", 0), Part::Beyond);
    }
}
