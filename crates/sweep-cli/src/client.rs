//! A coordinator, asked over HTTP: reads like a store, takes sweeps, commands and blobs.
//!
//! Requests that may be sent again are sent again while the coordinator is away for a moment; its own words are shown as they
//! are. Not here: what is asked ([`crate::source`]).

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sweep_core::ids::{Digest, RunId, SweepId};
use sweep_core::lifecycle::StateName;
use sweep_core::record::RunRecord;
use sweep_core::sweep::Document;
use sweep_store::{
    Command, Demand, PageCursor, Reads, Refusal, RunDetail, RunPage, StoreError, SweepStatus,
    WorkerStatus,
};
use url::Url;

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(5);
/// Until an answer is there, the report of a large sweep included.
const ANSWER: Duration = Duration::from_secs(60);
/// A coordinator that is being restarted is back within these.
const AGAIN: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(600), Duration::from_millis(1800)];
/// Runs per page of a listing: the most a coordinator gives.
const PAGE: u32 = 1000;

/// A coordinator. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<SecretString>,
}

/// What a coordinator says of a submission.
#[derive(Debug, Serialize, serde::Deserialize)]
pub(crate) struct Submission {
    pub(crate) id: SweepId,
    pub(crate) name: String,
    pub(crate) runs: SubmittedRuns,
}

/// Runs of a submission, by what became of them.
#[derive(Debug, Serialize, serde::Deserialize)]
pub(crate) struct SubmittedRuns {
    pub(crate) total: u32,
    pub(crate) new: u32,
    pub(crate) known: u32,
    pub(crate) joined: u32,
    #[serde(default)]
    pub(crate) requeued: u32,
}

/// RFC 9457, with what our coordinator adds.
#[derive(Debug, Default, serde::Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    /// Blobs that a submission needs and the coordinator has not.
    #[serde(default)]
    missing: Vec<Digest>,
}

/// Why a submission was not taken.
pub(crate) enum NotSubmitted {
    /// These blobs must be sent first.
    Lacks(Vec<Digest>),
    /// Anything else.
    Error(StoreError),
}

/// Why an address is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not the address of a coordinator (like http://127.0.0.1:7878 or https://sweep.example.org)"
)]
pub(crate) struct WrongAddress(String);

impl Client {
    /// A coordinator at `address`, shown `token`. Nothing is asked yet.
    pub(crate) fn new(address: &str, token: Option<SecretString>) -> Result<Self, WrongAddress> {
        let wrong = || {
            let shown = address
                .rsplit_once('@')
                .map_or(address.to_owned(), |(_, host)| format!("…@{host}"));
            WrongAddress(shown)
        };
        let mut base = Url::parse(address).map_err(|_| wrong())?;
        let is_http = matches!(base.scheme(), "http" | "https") && base.has_host();
        if !is_http || base.username() != "" || base.password().is_some() || base.query().is_some()
        {
            return Err(wrong());
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .user_agent(concat!("sweep/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| wrong())?;
        Ok(Self { http, base, token })
    }

    /// Where it is, for people.
    pub(crate) fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// The token, for others who ask the same coordinator.
    pub(crate) fn token(&self) -> Option<SecretString> {
        self.token.clone()
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        let request = self.http.request(method, url).timeout(ANSWER);
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    /// Sends a request that may be sent again, until it is answered with something else than "not now".
    async fn send(&self, request: &RequestBuilder) -> Result<Response, StoreError> {
        let mut waits = AGAIN.iter();
        loop {
            let request = request.try_clone().ok_or_else(|| self.away("cannot be asked twice"))?;
            let not_now = match request.send().await {
                Ok(response) if is_passing(response.status()) => self.refusal(response).await.0,
                Ok(response) => return Ok(response),
                Err(error) if error.is_connect() || error.is_timeout() || error.is_request() => {
                    self.away(&innermost(&error))
                }
                Err(error) => return Err(self.away(&innermost(&error))),
            };
            match waits.next() {
                Some(wait) => tokio::time::sleep(*wait).await,
                None => return Err(not_now),
            }
        }
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, StoreError> {
        let response = self.send(&request).await?;
        self.read(response).await
    }

    /// As [`Self::ask`], `None` where the coordinator knows no such thing.
    async fn find<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<Option<T>, StoreError> {
        let response = self.send(&request).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.read(response).await.map(Some)
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, StoreError> {
        if !response.status().is_success() {
            return Err(self.refusal(response).await.0);
        }
        response.json().await.map_err(|error| {
            self.wrong(format!(
                "the coordinator at {} answered what this version cannot read: {}",
                self.address(),
                innermost(&error)
            ))
        })
    }

    /// What the coordinator says instead of doing it.
    async fn refusal(&self, response: Response) -> (StoreError, Problem) {
        let status = response.status();
        let problem: Problem = response.json().await.unwrap_or_default();
        let text = match (problem.detail.as_str(), problem.title.as_str()) {
            ("", "") => status.to_string(),
            ("", title) => title.to_owned(),
            (detail, _) => detail.to_owned(),
        };
        let error = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => StoreError::Coordinator {
                text: format!(
                    "the coordinator at {} does not allow this: {text} (SWEEP_TOKEN or `token` in config.toml)",
                    self.address()
                ),
                why: Refusal::NotAllowed,
            },
            status if is_passing(status) => StoreError::Coordinator {
                text: format!("the coordinator at {} cannot answer now: {text}", self.address()),
                why: Refusal::Unreachable,
            },
            _ => self.wrong(text),
        };
        (error, problem)
    }

    fn away(&self, why: &str) -> StoreError {
        StoreError::Coordinator {
            text: format!("the coordinator at {} cannot be reached: {why}", self.address()),
            why: Refusal::Unreachable,
        }
    }

    fn wrong(&self, text: String) -> StoreError {
        StoreError::Coordinator { text, why: Refusal::Wrong }
    }

    /// Hands a sweep in; the same one again changes nothing.
    pub(crate) async fn submit(
        &self,
        document: &Document,
        share: &[(&str, String)],
    ) -> Result<Submission, NotSubmitted> {
        let request = self.request(Method::POST, &["sweeps"]).query(share).json(document);
        let response = self.send(&request).await.map_err(NotSubmitted::Error)?;
        if response.status().is_success() {
            return self.read(response).await.map_err(NotSubmitted::Error);
        }
        let (error, problem) = self.refusal(response).await;
        Err(match problem.missing {
            missing if missing.is_empty() => NotSubmitted::Error(error),
            missing => NotSubmitted::Lacks(missing),
        })
    }

    /// A person's command.
    pub(crate) async fn control(&self, command: &Command) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Share {
            #[serde(skip_serializing_if = "Option::is_none")]
            weight: Option<f64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            band: Option<u8>,
            /// `null` takes the cap away, absent leaves it.
            #[serde(skip_serializing_if = "Option::is_none")]
            cap: Option<Option<u32>>,
        }
        let post = |sweep: &SweepId, word: &str| {
            self.request(Method::POST, &["sweeps", sweep.as_str(), word])
        };
        let share = |sweep: &SweepId, share: Share| {
            self.request(Method::PATCH, &["sweeps", sweep.as_str()]).json(&share)
        };
        let none = Share { weight: None, band: None, cap: None };
        let request = match command {
            Command::Pause(sweep) => post(sweep, "pause"),
            Command::PauseNow(sweep) => post(sweep, "pause").query(&[("now", "true")]),
            Command::Resume(sweep) => post(sweep, "resume"),
            Command::Cancel(sweep) => post(sweep, "cancel"),
            Command::Retry(sweep) => post(sweep, "retry"),
            Command::Reported(sweep) => post(sweep, "reported"),
            Command::Weight(sweep, weight) => share(sweep, Share { weight: Some(*weight), ..none }),
            Command::Band(sweep, band) => share(sweep, Share { band: Some(*band), ..none }),
            Command::Cap(sweep, cap) => share(sweep, Share { cap: Some(*cap), ..none }),
            Command::Drain(worker) => self.request(Method::POST, &["workers", worker, "drain"]),
        };
        let response = self.send(&request).await?;
        if response.status().is_success() { Ok(()) } else { Err(self.refusal(response).await.0) }
    }
}

impl Reads for Client {
    async fn sweeps(&self) -> Result<Vec<SweepStatus>, StoreError> {
        #[derive(serde::Deserialize)]
        struct Page {
            sweeps: Vec<SweepStatus>,
            next: Option<String>,
        }
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let request = self.request(Method::GET, &["sweeps"]).query(&[("cursor", &cursor)]);
            let page: Page = self.ask(request).await?;
            all.extend(page.sweeps);
            if page.next.is_none() {
                return Ok(all);
            }
            cursor = page.next;
        }
    }

    async fn sweep(&self, sweep: &SweepId) -> Result<Option<(SweepStatus, Document)>, StoreError> {
        #[derive(serde::Deserialize)]
        struct Detail {
            #[serde(flatten)]
            status: SweepStatus,
            document: Document,
        }
        let found: Option<Detail> =
            self.find(self.request(Method::GET, &["sweeps", sweep.as_str()])).await?;
        Ok(found.map(|detail| (detail.status, detail.document)))
    }

    async fn runs(
        &self,
        sweep: &SweepId,
        states: &[StateName],
        with_results: bool,
        after: Option<&PageCursor>,
        limit: u32,
    ) -> Result<RunPage, StoreError> {
        let mut query: Vec<(&str, String)> =
            vec![("limit", limit.min(PAGE).to_string()), ("results", with_results.to_string())];
        query.extend(states.iter().map(|state| ("state", state.to_string())));
        query.extend(after.map(|cursor| ("cursor", cursor.0.clone())));
        self.ask(self.request(Method::GET, &["sweeps", sweep.as_str(), "runs"]).query(&query)).await
    }

    async fn results(&self, sweep: &SweepId) -> Result<Vec<RunRecord>, StoreError> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.runs(sweep, &[], true, cursor.as_ref(), PAGE).await?;
            all.extend(page.runs);
            if page.next.is_none() {
                return Ok(all);
            }
            cursor = page.next;
        }
    }

    async fn run(&self, run: &RunId) -> Result<Option<RunDetail>, StoreError> {
        self.find(self.request(Method::GET, &["runs", run.as_str()])).await
    }

    async fn states(&self, runs: &[RunId]) -> Result<Vec<Option<StateName>>, StoreError> {
        self.ask(self.request(Method::POST, &["states"]).json(runs)).await
    }

    async fn demand(&self) -> Result<Demand, StoreError> {
        self.ask(self.request(Method::GET, &["demand"])).await
    }

    async fn workers(&self) -> Result<Vec<WorkerStatus>, StoreError> {
        #[derive(serde::Deserialize)]
        struct Page {
            workers: Vec<WorkerStatus>,
        }
        let page: Page = self.ask(self.request(Method::GET, &["workers"])).await?;
        Ok(page.workers)
    }
}

/// Answers that another try may mend.
fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// The cause a person can act on: "connection refused", not "error sending request".
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_of_http_without_credentials() {
        for wrong in ["localhost:7878", "ftp://host", "http://me:secret@host", "http://", "nothing"]
        {
            let error = Client::new(wrong, None).err().unwrap_or_else(|| panic!("{wrong}"));
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_coordinator_may_live_below_a_path() {
        crate::tls();
        let client = Client::new("https://host/sweep", None).unwrap();
        let url = client.request(Method::GET, &["sweeps", "a/../b"]).build().unwrap().url().clone();
        assert_eq!(url.as_str(), "https://host/sweep/api/v1/sweeps/a%2F..%2Fb");
        assert_eq!(client.address(), "https://host/sweep");
    }
}
