//! Blobs of a coordinator, over HTTP: `/api/v1/blobs/{digest}`.
//!
//! Each call here is one request. Trying again is the caller's: [`super::again`] for whole calls, [`super::pull`] for bytes on
//! their way.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::header::{self, HeaderMap};
use reqwest::{Body, Client, Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use sweep_core::ids::Digest;
use url::Url;

use super::error::BlobError;
use super::objects::file_bytes;
use super::{Patience, Reading};

/// The slowest upload that is waited for, bytes per second.
const SLOWEST: u64 = 64 << 10;
/// Of what an error says, this much is kept.
const ERROR_TEXT: usize = 1024;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Coordinator {
    /// Ends with `/api/v1/blobs/`.
    base: Url,
    pub(super) shown: String,
    token: Option<SecretString>,
    client: Client,
    pub(super) patience: Patience,
}

impl Coordinator {
    /// The blobs behind this address. Nobody is asked before the first call.
    pub(super) fn new(
        url: Url,
        token: Option<SecretString>,
        patience: Patience,
    ) -> Result<Self, BlobError> {
        let shown = url.as_str().trim_end_matches('/').to_owned();
        let wrong = |why| BlobError::Address { address: shown.clone(), why };
        let base = Url::parse(&format!("{shown}/api/v1/blobs/"));
        let base = base.map_err(|_| wrong("it is no URL"))?;
        let client = Client::builder()
            .connect_timeout(patience.quiet)
            // A redirect would carry the token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("sweep/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| wrong("no HTTP client can be made here (certificates of the system?)"))?;
        Ok(Self { base, shown, token, client, patience })
    }

    /// Stores bytes under their digest.
    pub(super) async fn put(&self, digest: &Digest, bytes: Bytes) -> Result<(), BlobError> {
        let size = bytes.len() as u64;
        self.send_body(digest, size, bytes.into()).await
    }

    /// Stores a file's bytes under the digest that they should have.
    pub(super) async fn put_file(
        &self,
        digest: &Digest,
        path: &Path,
        size: u64,
    ) -> Result<(), BlobError> {
        let file = tokio::fs::File::open(path).await;
        let file = file.map_err(|source| BlobError::Io { path: path.to_owned(), source })?;
        let bytes = file_bytes(file.into_std().await, path.to_owned(), 0..size);
        self.send_body(digest, size, Body::wrap_stream(bytes)).await
    }

    async fn send_body(&self, digest: &Digest, size: u64, body: Body) -> Result<(), BlobError> {
        let request = self
            .request(Method::PUT, digest)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, size)
            .body(body);
        let limit = self.patience.quiet + Duration::from_secs(size / SLOWEST);
        let response = self.answer(request, limit).await?;
        match response.status() {
            StatusCode::UNPROCESSABLE_ENTITY => Err(BlobError::Damaged { digest: *digest }),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Err(BlobError::TooLarge { digest: *digest, limit: size.saturating_sub(1) })
            }
            _ => self.checked(response, "submit").await.map(|_| ()),
        }
    }

    /// The blob's bytes in `range`, unchecked; a coordinator may answer with all of them.
    pub(super) async fn read(
        &self,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> Result<Reading, BlobError> {
        // Compressed on the way, a blob would have neither length nor ranges.
        let mut request =
            self.request(Method::GET, digest).header(header::ACCEPT_ENCODING, "identity");
        if let Some(range) = &range {
            let value = match range.end {
                u64::MAX => format!("bytes={}-", range.start),
                end => format!("bytes={}-{}", range.start, end.saturating_sub(1)),
            };
            request = request.header(header::RANGE, value);
        }
        let response = self.answer(request, self.patience.quiet).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Err(BlobError::Missing { digest: *digest });
        }
        let response = self.checked(response, "read").await?;
        let (range, size) = if response.status() == StatusCode::PARTIAL_CONTENT {
            content_range(response.headers())
                .ok_or_else(|| self.odd("a part without saying which"))?
        } else {
            let size = content_length(response.headers())
                .ok_or_else(|| self.odd("a blob without saying how long it is"))?;
            (0..size, size)
        };
        Ok(Reading { size, range, bytes: self.clone().body(response) })
    }

    /// The bytes of an answer; each must come soon.
    fn body(
        self,
        response: Response,
    ) -> futures_util::stream::BoxStream<'static, Result<Bytes, BlobError>> {
        let begin = (self, response.bytes_stream().boxed());
        stream::try_unfold(begin, |(this, mut bytes)| async move {
            match tokio::time::timeout(this.patience.quiet, bytes.next()).await {
                Err(_) => Err(this.silent(this.patience.quiet)),
                Ok(None) => Ok(None),
                Ok(Some(Err(error))) => Err(this.unreachable(error)),
                Ok(Some(Ok(chunk))) => Ok(Some((chunk, (this, bytes)))),
            }
        })
        .boxed()
    }

    /// The blob's size; `None` where there is none.
    pub(super) async fn head(&self, digest: &Digest) -> Result<Option<u64>, BlobError> {
        let request =
            self.request(Method::HEAD, digest).header(header::ACCEPT_ENCODING, "identity");
        let response = self.answer(request, self.patience.quiet).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = self.checked(response, "read").await?;
        let size = content_length(response.headers());
        size.map(Some).ok_or_else(|| self.odd("a blob without saying how long it is"))
    }

    /// Asks for the blob to be removed; a coordinator keeps what a run still points to (409) and says so by `false`.
    pub(super) async fn delete(&self, digest: &Digest) -> Result<bool, BlobError> {
        let response =
            self.answer(self.request(Method::DELETE, digest), self.patience.quiet).await?;
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::CONFLICT => Ok(false),
            StatusCode::METHOD_NOT_ALLOWED => Err(self.unsupported("remove blobs")),
            _ => self.checked(response, "submit").await.map(|_| true),
        }
    }

    pub(super) fn unsupported(&self, what: &'static str) -> BlobError {
        BlobError::Unsupported { address: self.shown.clone(), what }
    }

    fn request(&self, method: Method, digest: &Digest) -> RequestBuilder {
        let url = self.base.join(&digest.to_string()).expect("hexadecimal digits are a path");
        let request = self.client.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    async fn answer(
        &self,
        request: RequestBuilder,
        limit: Duration,
    ) -> Result<Response, BlobError> {
        match tokio::time::timeout(limit, request.send()).await {
            Err(_) => Err(self.silent(limit)),
            Ok(Err(error)) => Err(self.unreachable(error)),
            Ok(Ok(response)) => Ok(response),
        }
    }

    /// The answer, if it is no error; `role`: what the call needs.
    async fn checked(&self, response: Response, role: &'static str) -> Result<Response, BlobError> {
        let status = response.status();
        let address = self.shown.clone();
        if status.is_success() {
            return Ok(response);
        }
        match status {
            StatusCode::UNAUTHORIZED => return Err(BlobError::NoToken { address, role }),
            StatusCode::FORBIDDEN => return Err(BlobError::Role { address, role }),
            _ => {}
        }
        let after = response.headers().get(header::RETRY_AFTER);
        let after = after.and_then(|value| value.to_str().ok()?.parse().ok());
        let after = after.map(Duration::from_secs);
        let text = self.error_text(response).await;
        Err(BlobError::Status { address, status: status.as_u16(), text, after })
    }

    /// `detail` of a problem document, else the text itself; its beginning, in one line.
    async fn error_text(&self, response: Response) -> String {
        let mut bytes = Vec::new();
        let mut body = self.clone().body(response);
        while let Some(Ok(chunk)) = body.next().await {
            bytes.extend_from_slice(&chunk[..chunk.len().min(ERROR_TEXT * 4 - bytes.len())]);
            if bytes.len() == ERROR_TEXT * 4 {
                break;
            }
        }
        let problem: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
        let detail = problem.as_ref().and_then(|p| p.get("detail")?.as_str());
        let text = detail.map_or_else(|| String::from_utf8_lossy(&bytes), Into::into);
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        line[..line.floor_char_boundary(ERROR_TEXT)].trim().to_owned()
    }

    fn unreachable(&self, error: reqwest::Error) -> BlobError {
        // Its own text is but "error sending request"; the cause at the bottom says why.
        let error = error.without_url();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(below) = cause.source() {
            cause = below;
        }
        BlobError::Unreachable { address: self.shown.clone(), why: cause.to_string() }
    }

    fn silent(&self, waited: Duration) -> BlobError {
        BlobError::Silent { address: self.shown.clone(), waited }
    }

    fn odd(&self, what: &'static str) -> BlobError {
        BlobError::Answer { address: self.shown.clone(), what }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// `bytes FIRST-LAST/SIZE`.
fn content_range(headers: &HeaderMap) -> Option<(Range<u64>, u64)> {
    let value = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, size) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, size): (u64, u64, u64) =
        (first.parse().ok()?, last.parse().ok()?, size.parse().ok()?);
    (first <= last && last < size).then_some((first..last + 1, size))
}
