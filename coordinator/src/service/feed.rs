//! One reader of the store's events for all who listen: what it reads goes out to every stream at once.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sweep_core::ids::SweepId;
use sweep_store::{Event, EventCursor, EventKind, Events, Store};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// How long one read waits for something to happen.
const WAIT: Duration = Duration::from_secs(5);
/// Between two reads while the store is away.
const AGAIN: Duration = Duration::from_secs(1);
/// Events that a listener may be behind before it must read everything anew.
const KEPT: usize = 4096;

/// What listeners get.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// This happened.
    Event(std::sync::Arc<Event>),
    /// Events are gone: read everything anew, and go on from here.
    Reset(EventCursor),
}

/// What has been read so far, and who is told.
pub(crate) struct Feed(Mutex<Told>);

struct Told {
    /// Place of the last news sent; `None` before the store was first read.
    at: Option<EventCursor>,
    sender: broadcast::Sender<News>,
}

impl Default for Feed {
    fn default() -> Self {
        Self(Mutex::new(Told { at: None, sender: broadcast::Sender::new(KEPT) }))
    }
}

impl Feed {
    /// Everything that is told after the place returned; nothing before the store was first read.
    pub(crate) fn listen(&self) -> Option<(EventCursor, broadcast::Receiver<News>)> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.at.clone().map(|at| (at, told.sender.subscribe()))
    }

    /// Whether the store was read once: from then on there is something to listen to.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).at.is_some()
    }

    /// Everything that is told from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<News> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).sender.subscribe()
    }

    /// How many listen.
    pub(crate) fn listeners(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).sender.receiver_count()
    }

    pub(crate) fn tell(&self, at: EventCursor, news: impl IntoIterator<Item = News>) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for one in news {
            // Nobody listening is no fault.
            let _ = told.sender.send(one);
        }
        told.at = Some(at);
    }

    /// Reads until `stop`.
    pub(crate) async fn run(&self, store: &impl Store, stop: &CancellationToken) {
        let reading = async {
            loop {
                let begun = self.begin(store).await;
                let failed = match begun {
                    Ok(cursor) => self.follow(store, cursor).await,
                    Err(error) => error,
                };
                tracing::warn!(error = %failed, "events cannot be read; trying again");
                tokio::time::sleep(AGAIN).await;
            }
        };
        tokio::select! {
            () = reading => {}
            () = stop.cancelled() => {}
        }
    }

    /// Where to read on: where the last read ended, or at the end of the stream.
    async fn begin(&self, store: &impl Store) -> Result<EventCursor, sweep_store::StoreError> {
        let at = self.0.lock().unwrap_or_else(PoisonError::into_inner).at.clone();
        match at {
            Some(at) => Ok(at),
            None => {
                let cursor = store.event_cursor().await?;
                self.tell(cursor.clone(), None);
                Ok(cursor)
            }
        }
    }

    /// Passes on what happens after `cursor`, until a read fails.
    async fn follow(&self, store: &impl Store, mut cursor: EventCursor) -> sweep_store::StoreError {
        loop {
            match store.events(&cursor, WAIT).await {
                Ok(Events::Some { events, cursor: next }) => {
                    let news = events.into_iter().map(|event| News::Event(event.into()));
                    self.tell(next.clone(), news);
                    cursor = next;
                }
                Ok(Events::Reset) => match store.event_cursor().await {
                    Ok(next) => {
                        self.tell(next.clone(), [News::Reset(next.clone())]);
                        cursor = next;
                    }
                    Err(error) => return error,
                },
                Err(error) => return error,
            }
        }
    }
}

/// Whether an event is about this sweep.
pub(crate) fn is_about(event: &Event, sweep: &SweepId) -> bool {
    match &event.kind {
        EventKind::Submitted { sweep: of } | EventKind::Sweep { sweep: of } => of == sweep,
        EventKind::Run { sweeps, .. } | EventKind::Epoch { sweeps, .. } => sweeps.contains(sweep),
        EventKind::Drain { .. } => false,
    }
}
