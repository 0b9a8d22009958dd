//! One request: from where the part file ends to the end of the file, or until the connection breaks.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, RANGE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

use super::part::PartFile;
use super::{FetchError, Job};
use crate::source::Fetching;

/// Longest wait for a connection: beyond, a person would look at the network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest silence within an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Most redirects: archives of data sets are often two or three away.
const MOST_REDIRECTS: usize = 10;

/// A client for this address.
pub(super) fn client(url: &Url) -> reqwest::Result<Client> {
    // The TLS of the store; whoever was first in this process keeps theirs.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let secure = url.scheme() == "https";
    let redirects = Policy::custom(move |attempt| {
        if attempt.previous().len() > MOST_REDIRECTS {
            return attempt.error("too many redirects");
        }
        match attempt.url().scheme() {
            "https" => attempt.follow(),
            "http" if !secure => attempt.follow(),
            _ => attempt.error("a redirect leads from https to an address that is not"),
        }
    });
    let mut builder = Client::builder()
        .user_agent(concat!("sweep/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .redirect(redirects);
    if is_here(url) {
        builder = builder.no_proxy();
    }
    builder.build()
}

/// Whether an address is this machine, which no proxy stands before.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Why an attempt ended before the file did.
pub(super) enum Failure {
    /// Another attempt may get further.
    Transient(String),
    /// No attempt can.
    Final(FetchError),
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::Final(error)
    }
}

/// One attempt at a fetch.
pub(super) struct Attempt<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) client: &'a Client,
}

impl Attempt<'_> {
    /// Gets what is missing into `part`.
    pub(super) async fn go(&self, part: &mut PartFile) -> Result<(), Failure> {
        let start = part.len();
        let mut request = self.client.get(self.job.url.clone()).header(ACCEPT_ENCODING, "identity");
        if start > 0 {
            request = request.header(RANGE, format!("bytes={start}-"));
        }
        let response = request.send().await.map_err(broken)?;
        let missing = match response.status() {
            StatusCode::PARTIAL_CONTENT if start > 0 => match range(&response) {
                Some((from, total)) if from == start => total.map(|total| total - start),
                // It answers another question than the one asked.
                _ => {
                    part.clear()?;
                    return Err(Failure::Transient("the server sent another range".to_owned()));
                }
            },
            StatusCode::OK => {
                part.clear()?;
                response.content_length()
            }
            // All of it is there already, or it is of another file: the sha256 will tell.
            StatusCode::RANGE_NOT_SATISFIABLE if start > 0 => {
                let whole = total_of_unsatisfied(&response) == Some(start);
                if !whole {
                    part.clear()?;
                    return Err(Failure::Transient("the server's file is shorter".to_owned()));
                }
                return Ok(());
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(Failure::Transient(format!("the server says {status}")));
            }
            status => return Err(Failure::Final(self.refused(status))),
        };
        let total = missing.map(|missing| part.len().saturating_add(missing));
        if total.is_some_and(|total| total > self.job.limit) {
            part.clear()?;
            return Err(Failure::Final(self.too_long()));
        }
        self.receive(response, part, total).await
    }

    async fn receive(
        &self,
        mut response: Response,
        part: &mut PartFile,
        total: Option<u64>,
    ) -> Result<(), Failure> {
        let report = |done| {
            (self.job.progress)(Fetching { url: &self.job.shown, done, total });
        };
        report(part.len());
        while let Some(bytes) = response.chunk().await.map_err(broken)? {
            if part.len() + bytes.len() as u64 > self.job.limit {
                part.clear()?;
                return Err(Failure::Final(self.too_long()));
            }
            part.put(&bytes)?;
            report(part.len());
        }
        match total {
            Some(total) if part.len() < total => {
                Err(Failure::Transient(format!("{} of {total} bytes came", part.len())))
            }
            _ => Ok(()),
        }
    }

    fn too_long(&self) -> FetchError {
        FetchError::TooLong { url: self.job.shown.clone(), limit: self.job.limit }
    }

    fn refused(&self, status: StatusCode) -> FetchError {
        FetchError::Refused {
            url: self.job.shown.clone(),
            status: status.to_string(),
            into: self.job.shown_target(),
            wanted: self.job.expected.map(|e| format!(" (sha256 {e})")).unwrap_or_default(),
        }
    }
}

/// `bytes 100-199/200` → (100, 200); the total may be unknown.
fn range(response: &Response) -> Option<(u64, Option<u64>)> {
    let text = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (span, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (from, to) = span.split_once('-')?;
    let (from, to): (u64, u64) = (from.parse().ok()?, to.parse().ok()?);
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    (from <= to && total.is_none_or(|total| to < total)).then_some((from, total))
}

/// `bytes */200` → 200.
fn total_of_unsatisfied(response: &Response) -> Option<u64> {
    let text = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    text.strip_prefix("bytes */")?.parse().ok()
}

fn broken(error: reqwest::Error) -> Failure {
    Failure::Transient(causes(&error))
}

/// An error with all its causes, without the address, which may hold secrets.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !texts.iter().any(|before| before.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    if texts.is_empty() {
        texts.push("the connection failed".to_owned());
    }
    texts.join(": ")
}
