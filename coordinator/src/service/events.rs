//! Server-sent events: what happens, as it happens, without gap and without repeat.
//!
//! A stream begins with a frame that holds only an `id`, the place it goes on from. With `Last-Event-ID` (or `after`) it first replays
//! from the store. `reset` says that events are gone: read everything anew, the stream goes on from the `id` of that frame.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;
use serde::Deserialize;
use sweep_core::ids::SweepId;
use sweep_store::{Event, EventCursor, EventKind, Events, Store};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::app::{App, place};
use super::extract::{Asked, Named};
use super::feed::{News, is_about};
use super::problem::{Kind, Problem};
use super::schema;
use crate::find::find;

/// A word in between, so that proxies keep the stream and a dead client shows.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where to go on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsQuery {
    after: Option<String>,
}

/// What happens in all sweeps
#[utoipa::path(get, path = "/api/v1/events", tag = "sweeps",
    params(("last-event-id" = Option<String>, Header, description = "`id` of the last frame read: nothing after it is left out"),
           ("after" = Option<String>, Query, description = "The same, for clients that cannot set a header")),
    responses((status = 200, description = "`data` is an Event as JSON, `event` its kind, or `reset`", body = schema::Event, content_type = "text/event-stream")))]
pub(crate) async fn all(
    State(app): State<App>,
    Asked(asked): Asked<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    open(app, None, asked, &headers)
}

/// What happens in a sweep
#[utoipa::path(get, path = "/api/v1/sweeps/{sweep}/events", tag = "sweeps",
    params(("sweep" = String, Path, description = "An id, a unique prefix of one, or a name (the newest of it)"),
           ("last-event-id" = Option<String>, Header, description = "`id` of the last frame read: nothing after it is left out"),
           ("after" = Option<String>, Query, description = "The same, for clients that cannot set a header")),
    responses((status = 200, description = "`data` is an Event as JSON, `event` its kind, or `reset`", body = schema::Event, content_type = "text/event-stream")))]
pub(crate) async fn of_sweep(
    State(app): State<App>,
    Named(sweep): Named<String>,
    Asked(asked): Asked<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = find(&app.store, Some(&sweep)).await?;
    open(app, Some(found.id), asked, &headers)
}

fn open(
    app: App,
    about: Option<SweepId>,
    asked: EventsQuery,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let after = last.map(str::to_owned).or(asked.after).map(EventCursor);
    let permit = place(&app.streams)?;
    let not_yet = || Problem::new(Kind::Store, "the store's events have not been read yet");
    let (at, news) = app.feed.listen().ok_or_else(not_yet)?;
    let stage = match after {
        Some(after) if after != at => Stage::Replay { from: after },
        _ => Stage::Begin,
    };
    let follower = Follower {
        app,
        about,
        news,
        at,
        stage,
        told: None,
        quiet_at: Instant::now() + KEEP_ALIVE,
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

/// One client of a stream.
struct Follower {
    app: App,
    about: Option<SweepId>,
    news: Receiver<News>,
    /// Place of the last event seen, whether it was of interest or not.
    at: EventCursor,
    stage: Stage,
    /// The `id` the client was told last.
    told: Option<EventCursor>,
    /// When the client will have heard nothing for too long.
    quiet_at: Instant,
    _permit: OwnedSemaphorePermit,
}

enum Stage {
    /// Nothing was sent yet, and nothing is to be replayed.
    Begin,
    /// The store is read from here on until its end, which lies at or behind what the feed had told when this began.
    Replay { from: EventCursor },
    /// The feed is heard; what was replayed beyond the feed's place is left out up to this event.
    Skip { through: EventCursor },
    /// The feed is heard.
    Live,
}

fn frames(follower: Follower) -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures_util::stream::unfold(follower, async |mut follower| {
        let frame = follower.next().await?;
        Some((Ok(Bytes::from(frame)), follower))
    })
}

impl Follower {
    /// The next bytes to send; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            let (stop, quiet_at) = (self.app.stop.clone(), self.quiet_at);
            let step = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                step = self.step() => step,
                () = tokio::time::sleep_until(quiet_at) => self.quiet(),
            };
            if !step.is_empty() {
                self.quiet_at = Instant::now() + KEEP_ALIVE;
                return Some(step);
            }
        }
    }

    /// The client hears how far it is even when nothing is of interest to it, so that it can go on from there later.
    fn quiet(&mut self) -> String {
        if matches!(self.stage, Stage::Live) && self.told.as_ref() != Some(&self.at) {
            return self.place();
        }
        ": \n\n".to_owned()
    }

    /// A frame that only moves the client's last `id`: nothing is dispatched.
    fn place(&mut self) -> String {
        self.told = Some(self.at.clone());
        format!("id: {}\n\n", self.at.0)
    }

    async fn step(&mut self) -> String {
        match &self.stage {
            Stage::Begin => {
                self.stage = Stage::Live;
                self.place()
            }
            Stage::Replay { from } => {
                let from = from.clone();
                self.replay(from).await
            }
            Stage::Skip { .. } | Stage::Live => match self.news.recv().await {
                Ok(news) => self.hear(news),
                Err(RecvError::Lagged(_)) => self.relisten(),
                // The feed lives as long as the app.
                Err(RecvError::Closed) => std::future::pending().await,
            },
        }
    }

    /// A page of the past.
    async fn replay(&mut self, from: EventCursor) -> String {
        match self.app.store.events(&from, Duration::ZERO).await {
            Ok(Events::Some { events, cursor }) if events.is_empty() => {
                let through = cursor.clone();
                self.stage = if self.at == cursor { Stage::Live } else { Stage::Skip { through } };
                self.at = cursor;
                if self.told.is_none() { self.place() } else { String::new() }
            }
            Ok(Events::Some { events, cursor }) => {
                self.stage = Stage::Replay { from: cursor };
                events.iter().map(|event| self.show(event)).collect()
            }
            Ok(Events::Reset) => self.relisten(),
            Err(error) => {
                tracing::warn!(%error, "events cannot be replayed; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
                String::new()
            }
        }
    }

    fn hear(&mut self, news: News) -> String {
        match news {
            News::Reset(at) => self.reset(at),
            News::Event(event) => {
                if let Stage::Skip { through } = &self.stage {
                    if *through == event.cursor {
                        self.stage = Stage::Live;
                    }
                    return String::new();
                }
                self.at = event.cursor.clone();
                self.show(&event)
            }
        }
    }

    /// Too far behind, or from another time: a new beginning.
    fn relisten(&mut self) -> String {
        match self.app.feed.listen() {
            Some((at, news)) => {
                self.news = news;
                self.reset(at)
            }
            None => String::new(),
        }
    }

    fn reset(&mut self, at: EventCursor) -> String {
        self.stage = Stage::Live;
        self.told = Some(at.clone());
        let frame = format!("id: {}\nevent: reset\ndata: {{}}\n\n", at.0);
        self.at = at;
        frame
    }

    /// The frame of an event, if the client is interested.
    fn show(&mut self, event: &Event) -> String {
        if self.about.as_ref().is_some_and(|sweep| !is_about(event, sweep)) {
            return String::new();
        }
        let name = match &event.kind {
            EventKind::Submitted { .. } => "submitted",
            EventKind::Sweep { .. } => "sweep",
            EventKind::Run { .. } => "run",
            EventKind::Epoch { .. } => "epoch",
            EventKind::Drain { .. } => "drain",
        };
        self.told = Some(event.cursor.clone());
        let data = serde_json::to_string(event).unwrap_or_default();
        format!("id: {}\nevent: {name}\ndata: {data}\n\n", event.cursor.0)
    }
}

#[cfg(test)]
mod tests {
    use sweep_core::ids::Timestamp;
    use sweep_store::AnyStore;
    use sweep_store::blobs::Blobs;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::service::app::Given;
    use crate::service::metrics::{Metrics, Timed};
    use crate::service::tokens::Tokens;

    fn app() -> (tempfile::TempDir, App) {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Metrics::new().unwrap();
        let store = Timed::new(AnyStore::open("sqlite::memory:").unwrap(), metrics.clone());
        let blobs = Blobs::directory(dir.path()).unwrap();
        let app = App::new(Given {
            store,
            metrics,
            blobs,
            tokens: Tokens::default(),
            pool: "default".to_owned(),
            datasets: None,
            max_body: 1000,
            max_blob: 1000,
            stop: CancellationToken::new(),
        });
        (dir, app)
    }

    fn tell(app: &App, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let cursor = EventCursor(number.to_string());
            let kind = EventKind::Drain { worker: "w".to_owned() };
            let event = Event { cursor: cursor.clone(), at: Timestamp(0), kind };
            app.feed.tell(cursor, [News::Event(event.into())]);
        }
    }

    fn follower(app: &App) -> Follower {
        let (at, news) = app.feed.listen().unwrap();
        let permit = place(&app.streams).unwrap();
        let quiet_at = Instant::now() + KEEP_ALIVE;
        let (app, stage) = (app.clone(), Stage::Begin);
        Follower { app, about: None, news, at, stage, told: None, quiet_at, _permit: permit }
    }

    #[tokio::test]
    async fn a_client_that_is_too_slow_is_told_to_begin_anew_and_then_misses_nothing() {
        let (_dir, app) = app();
        tell(&app, 0..1);
        let mut follower = follower(&app);
        assert_eq!(follower.next().await.unwrap(), "id: 0\n\n");
        tell(&app, 1..6000);
        assert_eq!(follower.next().await.unwrap(), "id: 5999\nevent: reset\ndata: {}\n\n");
        tell(&app, 6000..6001);
        assert!(follower.next().await.unwrap().starts_with("id: 6000\nevent: drain\ndata: {"));
    }

    #[tokio::test]
    async fn what_was_replayed_ahead_of_the_feed_is_not_told_again() {
        let (_dir, app) = app();
        tell(&app, 0..1);
        let mut follower = follower(&app);
        // The store was read up to 3, the feed only up to 0.
        follower.stage = Stage::Skip { through: EventCursor("3".to_owned()) };
        tell(&app, 1..5);
        assert!(follower.next().await.unwrap().starts_with("id: 4\n"));
    }

    #[tokio::test]
    async fn a_stream_ends_with_the_service() {
        let (_dir, app) = app();
        tell(&app, 0..1);
        let mut follower = follower(&app);
        app.stop.cancel();
        assert_eq!(follower.next().await, None);
    }

    #[tokio::test]
    async fn a_quiet_client_hears_how_far_it_is() {
        let (_dir, app) = app();
        tell(&app, 0..1);
        let mut follower = follower(&app);
        follower.about = Some("aaaaaaaaaaaaaaaaaaaa".parse().unwrap());
        assert_eq!(follower.next().await.unwrap(), "id: 0\n\n");
        tell(&app, 1..4);
        follower.quiet_at = Instant::now();
        assert_eq!(follower.next().await.unwrap(), "id: 3\n\n");
        follower.quiet_at = Instant::now();
        assert_eq!(follower.next().await.unwrap(), ": \n\n");
    }
}
