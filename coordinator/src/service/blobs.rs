//! Blobs by digest: packed data sets, weights, checkpoints. Taken in as streams, checked, handed out whole or in ranges.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use std::io::{self, SeekFrom};
use std::time::Duration;
use sweep_core::ids::Digest;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::app::{App, place};
use super::extract::{Named, check_length, too_large};
use super::problem::{Kind, Problem, cut};
use super::schema;

/// A sender that is silent for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);
/// Bytes read from disk at a time.
const PIECE: usize = 256 * 1024;

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
    let bytes = app.shelf.size(&digest).await?.ok_or_else(|| unknown(&digest))?;
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
    let (mut file, size) = app.shelf.file(&digest).await?.ok_or_else(|| unknown(&digest))?;
    let tag = format!("\"{digest}\"");
    let names = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if names(header::IF_NONE_MATCH).is_some_and(|tags| tags == "*" || tags.contains(&tag)) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        describe(response.headers_mut(), &digest);
        return Ok(response);
    }
    // A range of another version would be one of another blob; there is none.
    let same = names(header::IF_RANGE).is_none_or(|known| known == tag);
    let range = names(header::RANGE).filter(|_| same).map_or(Part::All, |text| part(text, size));
    let (status, from, length) = match range {
        Part::All => (StatusCode::OK, 0, size),
        Part::Of { from, to } => (StatusCode::PARTIAL_CONTENT, from, to - from + 1),
        Part::Beyond => {
            let text = format!("the blob has {size} bytes");
            let mut response = Problem::new(Kind::Range, text).into_response();
            response
                .headers_mut()
                .insert(header::CONTENT_RANGE, text_header(format!("bytes */{size}")));
            return Ok(response);
        }
    };
    if from > 0 {
        file.seek(SeekFrom::Start(from)).await.map_err(Problem::internal)?;
    }
    let mut response = Response::new(Body::from_stream(pieces(file, length)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    describe(headers, &digest);
    headers.insert(header::CONTENT_LENGTH, length.into());
    if status == StatusCode::PARTIAL_CONTENT {
        let to = from + length - 1;
        headers.insert(header::CONTENT_RANGE, text_header(format!("bytes {from}-{to}/{size}")));
    }
    Ok(response)
}

fn text_header(text: String) -> HeaderValue {
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// The next `left` bytes of a file.
fn pieces(file: File, left: u64) -> impl Stream<Item = io::Result<Bytes>> {
    futures_util::stream::try_unfold((file, left), async |(mut file, left)| {
        if left == 0 {
            return Ok(None);
        }
        let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let mut piece = BytesMut::with_capacity(most);
        let read = (&mut file).take(most as u64).read_buf(&mut piece).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some((piece.freeze(), (file, left - read as u64))))
    })
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
    if super::extract::is_packed(&headers) {
        return Err(super::extract::packed());
    }
    check_length(&headers, app.max_blob)?;
    let known = app.shelf.size(&digest).await?.is_some();
    let _place = place(&app.uploads)?;
    let received = app.shelf.receive()?;
    let (handle, received) = (received.reopen().map_err(Problem::internal)?, received);
    let mut file = File::from_std(handle);
    let mut hasher = blake3::Hasher::new();
    let mut bytes = 0_u64;
    let mut stream = body.into_data_stream();
    loop {
        let piece = match tokio::time::timeout(SILENCE, stream.next()).await {
            Ok(None) => break,
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(_))) => return Err(Problem::new(Kind::Body, "the body broke off")),
            Err(_) => {
                let text = format!("nothing came for {} s", SILENCE.as_secs());
                return Err(Problem::new(Kind::Slow, text));
            }
        };
        bytes += piece.len() as u64;
        if bytes > app.max_blob {
            return Err(too_large(app.max_blob));
        }
        hasher.update(&piece);
        file.write_all(&piece).await.map_err(unwritable)?;
    }
    file.flush().await.map_err(unwritable)?;
    let found = Digest(*hasher.finalize().as_bytes());
    if found != digest {
        let text = format!("the {bytes} bytes have the digest {found}, not {digest}");
        return Err(Problem::new(Kind::Digest, text));
    }
    app.shelf.keep(received, digest).await?;
    Ok(if known { StatusCode::OK } else { StatusCode::CREATED })
}

fn unwritable(error: io::Error) -> Problem {
    tracing::warn!(%error, "a blob cannot be written");
    Problem::new(Kind::Blobs, format!("the blob cannot be written: {}", error.kind()))
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
