//! One file from the network to the disk: resumed where it broke off, verified, bounded, put in place by one rename.
//!
//! For archives of data sets and for pretrained weights alike. What arrives lies in `NAME.part` beside its target until it is
//! complete and has the right sha256, so a target that exists is a target that is right. An attempt that breaks off is resumed
//! by the next one, in this call or in another process; two processes that fetch the same file take turns.
//!
//! Blocking, on a thread and a small runtime of its own: callers need no tokio, and may stand inside one.

mod attempt;
mod error;
mod part;

use std::path::Path;
use std::time::Duration;

pub use error::FetchError;

use crate::hash::{Sha256, Sha256OrPrefix};
use crate::source::Fetching;
use attempt::Attempt;
use part::PartFile;

/// Attempts in a row that bring nothing new before the fetch is given up.
const FRUITLESS_ATTEMPTS: u32 = 4;

/// Attempts in all: a server that gives one byte at a time ends too.
const MOST_ATTEMPTS: u32 = 100;

/// Pause after a failed attempt; doubles with each that brings nothing, so four of them wait 1.4 s.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A file that was fetched, or was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Of the whole file.
    pub sha256: Sha256,
    /// Its length.
    pub bytes: u64,
}

/// Fetches `url` into the file `into`, making its folder, unless a file of the expected sha256 is there already.
///
/// `expected` is what the file must be; `None` takes what comes, and then a broken download is never resumed by another
/// process. At most `limit` bytes are accepted. `progress` is called as bytes arrive. Proxies are taken from the environment
/// (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`), except for this machine itself.
///
/// # Errors
/// [`FetchError`]; its text says what to do instead. `into` is never touched by a fetch that fails.
pub fn file(
    url: &str,
    expected: Option<&Sha256OrPrefix>,
    into: &Path,
    limit: u64,
    progress: &(dyn Fn(Fetching<'_>) + Sync),
) -> Result<Fetched, FetchError> {
    let job = Job { url: address(url)?, shown: shown(url), expected, into, limit, progress };
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().name("fetch".to_owned());
        let handle = worker.spawn_scoped(scope, || job.run()).map_err(FetchError::io(into))?;
        handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Everything a fetch is about.
struct Job<'a> {
    url: reqwest::Url,
    /// The address for messages.
    shown: String,
    expected: Option<&'a Sha256OrPrefix>,
    into: &'a Path,
    limit: u64,
    progress: &'a (dyn Fn(Fetching<'_>) + Sync),
}

/// An http(s) address without secrets in it.
fn address(url: &str) -> Result<reqwest::Url, FetchError> {
    let refused = |reason: &str| FetchError::Address { url: shown(url), reason: reason.to_owned() };
    let parsed = reqwest::Url::parse(url).map_err(|error| refused(&error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(refused("only http and https are fetched"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(refused("user names and passwords do not belong into an address"));
    }
    Ok(parsed)
}

/// An address for messages: without user, password and query, which may hold secrets.
pub(crate) fn shown(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or(url);
    match plain.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) =
                rest.split_once('/').map_or((rest, None), |(a, p)| (a, Some(p)));
            let host = authority.rsplit('@').next().unwrap_or(authority);
            path.map_or(format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
        }
        None => plain.to_owned(),
    }
}

impl Job<'_> {
    fn run(&self) -> Result<Fetched, FetchError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(FetchError::io(self.into))?;
        runtime.block_on(self.fetch())
    }

    async fn fetch(&self) -> Result<Fetched, FetchError> {
        if let Some(there) = self.there()? {
            return Ok(there);
        }
        let client = attempt::client(&self.url)
            .map_err(|error| self.unreachable(attempt::causes(&error)))?;
        let mut part = PartFile::open(self.into, self.expected.is_some())?;
        // Another process may have put the file in place while this one waited for its turn.
        if let Some(there) = self.there()? {
            part.discard();
            return Ok(there);
        }
        let mut from_earlier = part.len() > 0;
        let (mut fruitless, mut pause) = (0, FIRST_PAUSE);
        for _ in 0..MOST_ATTEMPTS {
            let before = part.len();
            let attempt = Attempt { job: self, client: &client };
            match attempt.go(&mut part).await {
                Ok(()) => {
                    let (sha256, bytes) = part.hash()?;
                    let wrong = self.expected.filter(|expected| !expected.matches(&sha256));
                    match wrong {
                        None => {
                            part.put_in_place(self.into)?;
                            return Ok(Fetched { sha256, bytes });
                        }
                        // What an earlier attempt left may have been of another version of the file: once more, from the start.
                        Some(_) if from_earlier => {
                            part.clear()?;
                            from_earlier = false;
                        }
                        Some(expected) => {
                            part.discard();
                            return Err(FetchError::OtherFile {
                                url: self.shown.clone(),
                                found: sha256.to_string(),
                                wanted: expected.to_string(),
                                into: self.shown_target(),
                            });
                        }
                    }
                }
                Err(attempt::Failure::Final(error)) => {
                    part.discard_empty();
                    return Err(error);
                }
                Err(attempt::Failure::Transient(reason)) => {
                    let gained = part.len() > before;
                    (fruitless, pause) =
                        if gained { (0, FIRST_PAUSE) } else { (fruitless + 1, pause * 2) };
                    tracing::debug!(url = self.shown, reason, "fetch broke off");
                    if fruitless >= FRUITLESS_ATTEMPTS {
                        part.discard_empty();
                        return Err(self.unreachable(reason));
                    }
                    from_earlier |= part.len() > 0;
                    tokio::time::sleep(pause).await;
                }
            }
        }
        Err(self.unreachable(format!("still incomplete after {MOST_ATTEMPTS} attempts")))
    }

    /// The target, where it is there and right. A wrong one was put there by somebody, who must take it away.
    fn there(&self) -> Result<Option<Fetched>, FetchError> {
        let file = match std::fs::File::open(self.into) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(FetchError::io(self.into))?,
        };
        let (sha256, bytes) = Sha256::of_reader(file).map_err(FetchError::io(self.into))?;
        match self.expected.filter(|expected| !expected.matches(&sha256)) {
            None => Ok(Some(Fetched { sha256, bytes })),
            Some(expected) => Err(FetchError::InTheWay {
                into: self.shown_target(),
                found: sha256.to_string(),
                wanted: expected.to_string(),
            }),
        }
    }

    fn unreachable(&self, reason: String) -> FetchError {
        FetchError::Unreachable {
            url: self.shown.clone(),
            reason,
            into: self.shown_target(),
            wanted: self
                .expected
                .map(|expected| format!(" (sha256 {expected})"))
                .unwrap_or_default(),
        }
    }

    fn shown_target(&self) -> String {
        self.into.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_hold_no_secrets_of_an_address() {
        assert_eq!(shown("https://u:p@host/a/b.zip?token=1#x"), "https://host/a/b.zip");
        assert_eq!(shown("https://host?token=1"), "https://host");
        assert_eq!(shown("nonsense"), "nonsense");
    }

    #[test]
    fn only_plain_web_addresses_are_taken() {
        for (url, word) in [
            ("file:///etc/passwd", "only http and https"),
            ("ftp://host/x", "only http and https"),
            ("https://user:secret@host/x", "do not belong"),
            ("x", "relative URL"),
        ] {
            let error = address(url).unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("secret"), "{error}");
        }
    }
}
