//! Boards of the sweeps that somebody looks at: read once, kept up to date by events, rendered once for all who watch.
//!
//! A board begins with the first view of its sweep and is dropped some minutes after the last. Whatever breaks, it reads everything
//! anew: it holds nothing that the store does not have.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sweep_core::ids::SweepId;
use sweep_core::lifecycle::StateName;
use sweep_core::record::RunRecord;
use sweep_report::glance;
use sweep_report::report::Curves;
use sweep_store::{PageCursor, Reads, StoreError};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::live;
use crate::service::app::App;
use crate::service::feed::{News, is_about};
use crate::view::{self, ViewError};

/// Boards at a time; further sweeps are shown without what a board tells.
const MOST: usize = 8;
/// A board that nobody watches is kept so long, for whoever comes back.
const UNWATCHED: Duration = Duration::from_secs(180);
/// Between two renderings: faster than a person reads, slow enough for many runs a second.
const RENDER: Duration = Duration::from_secs(1);
/// Between two makings of what takes long, and so many times as long as it took: a tenth of a core at most.
const HEAVY: Duration = Duration::from_secs(2);
const HEAVY_SHARE: u32 = 10;
/// The same for a sweep of thousands of configurations, whose figures change little by a run.
const HEAVY_LARGE: Duration = Duration::from_secs(15);
/// Runs read at once with their results: a few hundred kB of JSON.
const PAGE: u32 = 100;
/// Ended runs read one by one between two renderings; more are read in pages.
const SINGLE: usize = 32;
/// Most configurations whose curves are shown.
pub(crate) const CURVES: usize = 6;
/// Runs of a configuration whose curves are read.
const CURVE_RUNS: usize = 30;
/// After something broke.
const AGAIN: Duration = Duration::from_secs(1);

/// The boards there are.
#[derive(Default)]
pub(crate) struct Hub(Mutex<HashMap<SweepId, Arc<Watched>>>);

/// An element of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The same for all who watch.
    Markup(Arc<str>),
    /// Another one for each viewer, who reads it again when this token changes.
    Own(String),
}

impl Part {
    fn markup(&self) -> Option<&str> {
        match self {
            Self::Markup(markup) => Some(markup),
            Self::Own(_) => None,
        }
    }
}

/// What is shown of a sweep: elements of the page by their id, each with the version that brought it.
#[derive(Default)]
pub(crate) struct Shown {
    /// Grows with each change.
    pub(crate) version: u64,
    pub(crate) parts: BTreeMap<String, (u64, Part)>,
    /// What this version changed, ready to be sent to those who have the one before.
    pub(crate) frame: Bytes,
}

/// A sweep that somebody looks at.
pub(crate) struct Watched {
    pub(crate) id: SweepId,
    /// Tells this board from one of the same sweep before or elsewhere.
    pub(crate) instance: String,
    /// `None` until it was read.
    board: RwLock<Option<Board>>,
    pub(crate) shown: watch::Sender<Arc<Shown>>,
    ready: watch::Sender<bool>,
    viewers: AtomicUsize,
    last_view: Mutex<Instant>,
    pub(crate) counted_look: AtomicBool,
    /// Curves last read, and of which runs.
    curves: Mutex<Option<(String, Arc<Vec<Curves>>)>>,
    stop: CancellationToken,
}

impl Hub {
    /// The board of a sweep, begun if there is none; `None` when all are watched.
    pub(crate) fn look(&self, app: &App, id: &SweepId) -> Option<Arc<Watched>> {
        let mut boards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = boards.get(id) {
            watched.touch();
            return Some(watched.clone());
        }
        if boards.len() >= MOST {
            let idle = boards.values().filter(|one| one.viewers.load(Ordering::Relaxed) == 0);
            let oldest = idle.min_by_key(|one| one.last_view())?.id.clone();
            boards.remove(&oldest)?.stop.cancel();
        }
        let watched = Arc::new(Watched {
            id: id.clone(),
            instance: instance(),
            board: RwLock::new(None),
            shown: watch::Sender::new(Arc::default()),
            ready: watch::Sender::new(false),
            viewers: AtomicUsize::new(0),
            last_view: Mutex::new(Instant::now()),
            counted_look: AtomicBool::new(false),
            curves: Mutex::new(None),
            stop: app.stop.child_token(),
        });
        boards.insert(id.clone(), watched.clone());
        let (app, follower) = (app.clone(), watched.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = follow(&app, &follower) => {}
                () = follower.stop.cancelled() => {}
            }
            app.hub.forget(&follower);
        });
        Some(watched)
    }

    /// Shows the board of a sweep that is watched anyway.
    pub(crate) fn peek<T>(&self, id: &SweepId, show: impl FnOnce(&Board) -> T) -> Option<T> {
        let watched = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        watched?.with(show)
    }

    fn forget(&self, watched: &Arc<Watched>) {
        let mut boards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if boards.get(&watched.id).is_some_and(|known| Arc::ptr_eq(known, watched)) {
            boards.remove(&watched.id);
        }
    }
}

/// Different in each process and for each board.
fn instance() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since.map_or(0, |since| since.as_nanos());
    format!("{nanos:x}-{:x}-{:x}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Keeps a board alive while it lives.
pub(crate) struct Viewing(pub(crate) Arc<Watched>);

impl Drop for Viewing {
    fn drop(&mut self) {
        self.0.viewers.fetch_sub(1, Ordering::Relaxed);
        self.0.touch();
    }
}

impl Watched {
    /// One more who watches, until the value is dropped.
    pub(crate) fn view(self: &Arc<Self>) -> Viewing {
        self.viewers.fetch_add(1, Ordering::Relaxed);
        Viewing(self.clone())
    }

    fn touch(&self) {
        *self.last_view.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last_view(&self) -> Instant {
        *self.last_view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the sweep was read once, but no longer than this.
    pub(crate) async fn ready(&self, patience: Duration) {
        let mut ready = self.ready.subscribe();
        let _ = tokio::time::timeout(patience, ready.wait_for(|ready| *ready)).await;
    }

    /// Shows the board, if it was read.
    pub(crate) fn with<T>(&self, show: impl FnOnce(&Board) -> T) -> Option<T> {
        self.board.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(show)
    }

    /// An element as it was sent last, for pages that show the same.
    pub(crate) fn shown(&self, id: &str) -> Option<Arc<str>> {
        match self.shown.borrow().parts.get(id) {
            Some((_, Part::Markup(markup))) => Some(markup.clone()),
            _ => None,
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Board) -> T) -> Option<T> {
        self.board.write().unwrap_or_else(PoisonError::into_inner).as_mut().map(change)
    }

    /// Curves of a few candidates on a data set, read from their runs unless they were read before.
    pub(crate) async fn curves(
        &self,
        app: &App,
        dataset: usize,
        candidates: &[usize],
    ) -> Arc<Vec<Curves>> {
        let wanted = self.with(|board| board.with_results(dataset, candidates)).unwrap_or_default();
        let mut key = String::new();
        for run in wanted.iter().flat_map(|(_, _, runs)| runs.iter().take(CURVE_RUNS)) {
            key.push_str(run.as_str());
        }
        let known = self.curves.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, curves)) = known.filter(|(known, _)| *known == key) {
            return curves;
        }
        let mut all = Vec::new();
        for (candidate, label, runs) in wanted.into_iter().take(CURVES) {
            let mut epochs = Vec::new();
            for run in runs.iter().take(CURVE_RUNS) {
                match app.store.run(run).await {
                    Ok(detail) => epochs.extend(detail.and_then(|d| d.result).map(|r| r.epochs)),
                    Err(error) => tracing::warn!(%error, "a curve cannot be read"),
                }
            }
            let epochs: Vec<&[_]> = epochs.iter().map(Vec::as_slice).collect();
            all.extend(glance::curves(candidate, &label, &epochs));
        }
        let all = Arc::new(all);
        *self.curves.lock().unwrap_or_else(PoisonError::into_inner) = Some((key, all.clone()));
        all
    }

    /// Sends what changed to all who watch.
    fn publish(&self, parts: Vec<(String, Part)>) {
        let before = self.shown.borrow().clone();
        let version = before.version + 1;
        let is_new = |(id, part): &(String, Part)| {
            before.parts.get(id).is_none_or(|(_, known)| known != part)
        };
        let fresh: Vec<(String, Part)> = parts.into_iter().filter(is_new).collect();
        if fresh.is_empty() {
            return;
        }
        let changed = fresh.iter().map(|(id, part)| (id.as_str(), part.markup()));
        let frame = Bytes::from(live::frame(&self.instance, version, changed));
        let mut parts = before.parts.clone();
        parts.extend(fresh.into_iter().map(|(id, part)| (id, (version, part))));
        self.shown.send_replace(Arc::new(Shown { version, parts, frame }));
    }
}

impl Shown {
    /// What changed after a version, as a frame of the board `instance`.
    pub(crate) fn since(&self, instance: &str, before: u64) -> Bytes {
        let newer = self.parts.iter().filter(|(_, (version, _))| *version > before);
        let parts = newer.map(|(id, (_, part))| (id.as_str(), part.markup()));
        Bytes::from(live::frame(instance, self.version, parts))
    }
}

/// Reads the sweep and follows it until nobody has watched for long.
async fn follow(app: &App, watched: &Arc<Watched>) {
    loop {
        // Heard before it is read: what happens in between is folded again, which changes nothing.
        let Some((_, mut news)) = app.feed.listen() else {
            tokio::time::sleep(AGAIN / 5).await;
            continue;
        };
        match read(app, &watched.id).await {
            Ok(board) => {
                *watched.board.write().unwrap_or_else(PoisonError::into_inner) = Some(board);
            }
            Err(error) => {
                tracing::warn!(sweep.id = %watched.id, %error, "a sweep cannot be read for its page; trying again");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        }
        let mut pass = Pass::new(app, watched);
        pass.analyse().await;
        watched.ready.send_replace(true);
        if let Err(error) = pass.render().await {
            tracing::warn!(sweep.id = %watched.id, %error, "a sweep's page cannot be brought up to date; trying again");
        }
        let mut ticks = tokio::time::interval(RENDER);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let anew = loop {
            tokio::select! {
                heard = news.recv() => {
                    let mut heard = heard.map_err(|_: RecvError| ());
                    let again = loop {
                        match heard {
                            Ok(News::Event(event)) => {
                                if is_about(&event, &watched.id) {
                                    pass.dirty = true;
                                    if watched.change(|board| board.fold(&event)).unwrap_or(true) {
                                        break true;
                                    }
                                }
                            }
                            Ok(News::Reset(_)) | Err(()) => break true,
                        }
                        heard = match news.try_recv() {
                            Ok(next) => Ok(next),
                            Err(TryRecvError::Empty) => break false,
                            Err(_) => Err(()),
                        };
                    };
                    if again { break true; }
                }
                _ = ticks.tick() => {
                    let unwatched = watched.viewers.load(Ordering::Relaxed) == 0;
                    if unwatched && watched.last_view().elapsed() >= UNWATCHED {
                        break false;
                    }
                    // Also while nobody watches: whoever comes back sees what is, with or without a script.
                    if let Err(error) = pass.tick().await {
                        tracing::warn!(sweep.id = %watched.id, %error, "a sweep's page cannot be brought up to date; trying again");
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            }
        };
        if !anew {
            return;
        }
        // A submission comes in pieces.
        tokio::time::sleep(AGAIN).await;
    }
}

/// What has to be done for a board between two renderings.
struct Pass<'a> {
    app: &'a App,
    watched: &'a Arc<Watched>,
    /// Something happened.
    dirty: bool,
    /// Results came that the heavy part does not know.
    stale: bool,
    /// The heavy part knows more than is shown.
    fresh: bool,
    heavy_at: Instant,
    heavy_took: Duration,
}

impl<'a> Pass<'a> {
    fn new(app: &'a App, watched: &'a Arc<Watched>) -> Self {
        let (heavy_at, heavy_took) = (Instant::now(), Duration::ZERO);
        Self { app, watched, dirty: false, stale: true, fresh: true, heavy_at, heavy_took }
    }

    async fn tick(&mut self) -> Result<(), StoreError> {
        if !self.dirty && !self.stale {
            return Ok(());
        }
        if self.dirty {
            self.dirty = false;
            self.learn().await?;
        }
        let large = self.watched.with(|board| !board.is_small()) == Some(true);
        let least = if large { HEAVY_LARGE } else { HEAVY };
        let wait = least.max(self.heavy_took * HEAVY_SHARE);
        if self.stale && self.heavy_at.elapsed() >= wait {
            self.analyse().await;
        }
        self.render().await
    }

    /// Reads the results of runs that have ended, and the counts.
    async fn learn(&mut self) -> Result<(), StoreError> {
        let (app, watched) = (self.app, self.watched);
        if let Some((status, _)) = app.store.sweep(&watched.id).await? {
            watched.change(|board| board.status = status);
        }
        let due: Vec<_> = watched
            .with(|board| {
                board.due.iter().map(|at| (*at, board.lines[*at as usize].id.clone())).collect()
            })
            .unwrap_or_default();
        self.stale |= !due.is_empty();
        if due.len() > SINGLE * 8 {
            return self.learn_all().await;
        }
        self.dirty |= due.len() > SINGLE;
        for (at, id) in due.into_iter().take(SINGLE) {
            let Some(detail) = app.store.run(&id).await? else { continue };
            let state = detail.state.name();
            watched.change(|board| board.learn(at, detail.result, detail.error.as_deref(), state));
        }
        Ok(())
    }

    /// So many have ended that reading them in pages is less work.
    async fn learn_all(&mut self) -> Result<(), StoreError> {
        let ended = [StateName::Succeeded, StateName::Failed];
        let watched = self.watched;
        pages(self.app, &watched.id, &ended, |records| {
            watched.change(|board| records.into_iter().for_each(|record| board.add(record)));
        })
        .await
    }

    /// Makes the report of a small sweep on a thread of its own.
    async fn analyse(&mut self) {
        let begun = Instant::now();
        let (app, watched) = (self.app, self.watched.clone());
        let made = app.heavy(move || watched.with(|board| board.analyse().map(Arc::new)).flatten());
        match made.await {
            Ok(report) => {
                self.watched.change(|board| board.report = report);
                (self.stale, self.fresh) = (false, true);
            }
            Err(problem) => tracing::warn!("a sweep's page stays as it is: {}", problem.detail()),
        }
        self.heavy_at = Instant::now();
        self.heavy_took = begun.elapsed();
    }

    async fn render(&mut self) -> Result<(), StoreError> {
        let (app, watched) = (self.app, self.watched);
        let changed = watched.change(Board::settle).unwrap_or_default();
        let begun = Instant::now();
        let parts = super::page::parts(app, watched, &changed, self.fresh).await;
        if self.fresh {
            self.heavy_took += begun.elapsed();
            self.fresh = false;
        }
        watched.publish(parts);
        Ok(())
    }
}

/// Reads a sweep into a board.
pub(crate) async fn read(app: &App, id: &SweepId) -> Result<Board, ViewError> {
    let (status, document) =
        app.store.sweep(id).await?.ok_or_else(|| ViewError::Unknown(id.clone()))?;
    let opened = {
        let document = document.clone();
        // Hashing the ids of many runs takes a core for a while.
        tokio::task::spawn_blocking(move || document.open()).await
    };
    let (sweep, plan) = match opened {
        Ok(opened) => opened?,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    let meta = view::meta(&app.store, &status, &document, &sweep, &plan).await?;
    let made = tokio::task::spawn_blocking(move || Board::new(status, sweep, plan, meta)).await;
    let mut board = match made {
        Ok(board) => board,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    pages(app, id, &[], |records| records.into_iter().for_each(|record| board.add(record))).await?;
    let settle = move || {
        board.settle();
        board
    };
    match tokio::task::spawn_blocking(settle).await {
        Ok(board) => Ok(board),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// All runs of a sweep in these states with results, a page at a time: never all in memory.
async fn pages(
    app: &App,
    id: &SweepId,
    states: &[StateName],
    mut each: impl FnMut(Vec<RunRecord>),
) -> Result<(), StoreError> {
    let mut cursor: Option<PageCursor> = None;
    loop {
        let page = app.store.runs(id, states, true, cursor.as_ref(), PAGE).await?;
        each(page.runs);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}
