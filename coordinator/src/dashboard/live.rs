//! `/sweeps/{sweep}/live`: patches of a page as they come, the same bytes for all who watch.
//!
//! A frame names the board and its version: who comes back with the last one it saw gets what changed since, and from a board that is
//! another one everything.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::watch::{Shown, Viewing};
use crate::find::find;
use crate::service::app::{App, place};
use crate::service::extract::Named;
use crate::service::problem::{Kind, Problem};

/// A word in between, so that proxies keep the stream and a dead client shows.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A browser that lost the stream asks again after so many milliseconds.
const RETRY: u32 = 1000;

/// The stream.
pub(crate) async fn get(
    State(app): State<App>,
    Named(sweep): Named<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = find(&app.store, Some(&sweep)).await?;
    let permit = place(&app.streams)?;
    let full = || Problem::new(Kind::Busy, "too many sweeps are watched at a time; try again");
    let watched = app.hub.look(&app, &found.id).ok_or_else(full)?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let seen = last
        .and_then(|last| last.rsplit_once('.'))
        .filter(|(instance, _)| *instance == watched.instance)
        .and_then(|(_, version)| version.parse().ok());
    let follower = Follower {
        stop: app.stop.clone(),
        shown: watched.shown.subscribe(),
        viewing: watched.view(),
        seen: seen.unwrap_or(0),
        begun: false,
        _permit: permit,
    };
    let mut response = Response::new(Body::from_stream(frames(follower)));
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
        // nginx holds streams back otherwise.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// A frame with these elements; JSON has no line breaks, so it is one line of data.
pub(crate) fn frame<'a>(
    instance: &str,
    version: u64,
    parts: impl Iterator<Item = (&'a str, Option<&'a str>)>,
) -> String {
    let parts: std::collections::BTreeMap<&str, Option<&str>> = parts.collect();
    let data = serde_json::to_string(&parts).unwrap_or_default();
    format!("id: {instance}.{version}\nevent: patch\ndata: {data}\n\n")
}

/// One who watches.
struct Follower {
    stop: tokio_util::sync::CancellationToken,
    shown: watch::Receiver<Arc<Shown>>,
    viewing: Viewing,
    /// The version this one has; 0 for none.
    seen: u64,
    begun: bool,
    _permit: OwnedSemaphorePermit,
}

fn frames(follower: Follower) -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures_util::stream::unfold(follower, async |mut follower| {
        let frame = follower.next().await?;
        Some((Ok(frame), follower))
    })
}

impl Follower {
    /// The next bytes to send; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.begun {
            self.begun = true;
            return Some(Bytes::from(format!("retry: {RETRY}\n\n")));
        }
        loop {
            let shown = self.shown.borrow_and_update().clone();
            if shown.version > self.seen {
                let next = shown.version == self.seen + 1;
                let before = std::mem::replace(&mut self.seen, shown.version);
                return Some(if next {
                    shown.frame.clone()
                } else {
                    shown.since(&self.viewing.0.instance, before)
                });
            }
            let stop = self.stop.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                changed = self.shown.changed() => changed.ok()?,
                () = tokio::time::sleep(KEEP_ALIVE) => return Some(Bytes::from_static(b": \n\n")),
            }
        }
    }
}
