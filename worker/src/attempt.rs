//! What the training thread of one attempt and the lease loop share: orders down; metrics, progress and checkpoints up.
//!
//! The training thread never waits here: it writes and rings a bell. Beats live on the runtime, where training cannot block them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sweep_core::result::EpochMetrics;
use sweep_core::trainer::{Checkpoint, Observer, Order};
use tokio::sync::Notify;

use crate::metrics::Metrics;

/// An attempt's log keeps this much of its end.
const LOG_BYTES: usize = 64 * 1024;

/// Shared by the two sides of one attempt.
pub(crate) struct Attempt {
    order: AtomicU8,
    steps: AtomicU64,
    started: Instant,
    last_step_ms: AtomicU64,
    news: Mutex<News>,
    log: Mutex<Log>,
    bell: Notify,
    /// Whether the training thread has it; before, files are fetched.
    training: AtomicBool,
    metrics: Arc<Metrics>,
    /// Pictures of a batch, for the metrics.
    batch_images: u64,
    val_images: AtomicU32,
    epoch_seconds: Mutex<Vec<f64>>,
}

/// What the lease loop has not passed on yet.
#[derive(Default)]
struct News {
    /// Epochs that ended since the last look.
    epochs: Vec<EpochMetrics>,
    /// The newest checkpoint that was asked for.
    checkpoint: Option<Checkpoint>,
}

#[derive(Default)]
struct Log {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Attempt {
    pub(crate) fn new(metrics: Arc<Metrics>, batch_images: u64) -> Self {
        Self {
            order: AtomicU8::new(CONTINUE),
            steps: AtomicU64::new(0),
            started: Instant::now(),
            last_step_ms: AtomicU64::new(0),
            news: Mutex::default(),
            log: Mutex::default(),
            bell: Notify::new(),
            training: AtomicBool::new(false),
            metrics,
            batch_images,
            val_images: AtomicU32::new(0),
            epoch_seconds: Mutex::default(),
        }
    }

    /// Asks the training thread for `order` at its next batch; a stronger order is never taken back by a weaker one.
    pub(crate) fn order(&self, order: Order) {
        self.order.fetch_max(code(order), Ordering::SeqCst);
    }

    /// The training thread gets it now; time without a batch counts from here.
    ///
    /// `val_images`: pictures evaluated after each epoch, for the metrics.
    pub(crate) fn begin_training(&self, val_images: u32) {
        self.val_images.store(val_images, Ordering::Relaxed);
        self.stepped();
        self.training.store(true, Ordering::SeqCst);
    }

    /// Whether the training thread has it.
    pub(crate) fn is_training(&self) -> bool {
        self.training.load(Ordering::SeqCst)
    }

    /// Batches begun so far.
    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Time since the last batch or epoch.
    pub(crate) fn quiet(&self) -> Duration {
        self.started
            .elapsed()
            .saturating_sub(Duration::from_millis(self.last_step_ms.load(Ordering::Relaxed)))
    }

    /// Of the epochs so far, seconds; 0 before the first has ended.
    pub(crate) fn median_epoch(&self) -> f64 {
        let mut seconds = lock(&self.epoch_seconds).clone();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied().unwrap_or(0.0)
    }

    /// Takes the epochs that ended since the last call.
    pub(crate) fn take_epochs(&self) -> Vec<EpochMetrics> {
        std::mem::take(&mut lock(&self.news).epochs)
    }

    /// Takes the newest checkpoint since the last call.
    pub(crate) fn take_checkpoint(&self) -> Option<Checkpoint> {
        lock(&self.news).checkpoint.take()
    }

    /// Puts epochs back that could not be passed on.
    pub(crate) fn return_epochs(&self, mut epochs: Vec<EpochMetrics>) {
        let mut news = lock(&self.news);
        epochs.append(&mut news.epochs);
        news.epochs = epochs;
    }

    /// Resolves after the training thread had news.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Adds a line to the attempt's log, dropping the oldest beyond 64 KiB.
    pub(crate) fn log(&self, line: String) {
        let line =
            line[line.ceil_char_boundary(line.len().saturating_sub(LOG_BYTES - 1))..].to_owned();
        let mut log = lock(&self.log);
        log.bytes += line.len() + 1;
        log.lines.push_back(line);
        while log.bytes > LOG_BYTES {
            let Some(first) = log.lines.pop_front() else { break };
            log.bytes -= first.len() + 1;
        }
    }

    /// The log's last 64 KiB.
    pub(crate) fn log_text(&self) -> String {
        let log = lock(&self.log);
        let mut text = String::with_capacity(log.bytes);
        for line in &log.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    fn stepped(&self) {
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_step_ms.store(ms, Ordering::Relaxed);
    }
}

/// The training thread's end of an [`Attempt`].
pub(crate) struct AttemptObserver<'a>(pub(crate) &'a Attempt);

impl Observer for AttemptObserver<'_> {
    fn batch(&mut self, epoch: u32, _batch: u32, _batches: u32) -> Order {
        self.0.steps.fetch_add(1, Ordering::Relaxed);
        // Before the first epoch features are computed or memory is waited for: nothing is trained.
        if epoch > 0 {
            self.0.metrics.trained.inc_by(self.0.batch_images);
        }
        self.0.stepped();
        // A checkpoint is asked for once; the other orders end the training and stand.
        if self
            .0
            .order
            .compare_exchange(CHECKPOINT, CONTINUE, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
        {
            return Order::Checkpoint;
        }
        match self.0.order.load(Ordering::SeqCst) {
            YIELD => Order::Yield,
            STOP => Order::Stop,
            _ => Order::Continue,
        }
    }

    fn epoch(&mut self, metrics: &EpochMetrics) {
        self.0.stepped();
        self.0.log(epoch_line(metrics));
        self.0.metrics.epoch(metrics.seconds, self.0.val_images.load(Ordering::Relaxed));
        lock(&self.0.epoch_seconds).push(metrics.seconds);
        let mut news = lock(&self.0.news);
        let first = news.epochs.is_empty();
        news.epochs.push(metrics.clone());
        drop(news);
        // Later epochs travel with the first one: no need to wake the lease loop for each.
        if first {
            self.0.bell.notify_one();
        }
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        lock(&self.0.news).checkpoint = Some(checkpoint);
        self.0.bell.notify_one();
    }

    fn log(&mut self, line: String) {
        self.0.log(line);
    }
}

const CONTINUE: u8 = 0;
const CHECKPOINT: u8 = 1;
const YIELD: u8 = 2;
const STOP: u8 = 3;

fn code(order: Order) -> u8 {
    match order {
        Order::Continue => CONTINUE,
        Order::Checkpoint => CHECKPOINT,
        Order::Yield => YIELD,
        Order::Stop => STOP,
    }
}

fn epoch_line(m: &EpochMetrics) -> String {
    let loss =
        |value: Option<f64>| value.map_or_else(|| "not finite".to_owned(), |v| format!("{v:.4}"));
    format!(
        "epoch {}: train loss {}, train accuracy {:.4}, val loss {}, val accuracy {:.4}, learning rate {:.3e}",
        m.epoch,
        loss(m.train_loss),
        m.train_accuracy,
        loss(m.val_loss),
        m.val_accuracy,
        m.learning_rate
    )
}

/// A panic while one of these short critical sections runs leaves nothing half-done, so a poisoned lock is usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt() -> Attempt {
        Attempt::new(Arc::new(Metrics::new(1)), 32)
    }

    #[test]
    fn a_checkpoint_is_asked_for_once_and_a_yield_stands() {
        let attempt = attempt();
        let mut observer = AttemptObserver(&attempt);
        attempt.order(Order::Checkpoint);
        assert_eq!(observer.batch(1, 0, 2), Order::Checkpoint);
        assert_eq!(observer.batch(1, 1, 2), Order::Continue);
        attempt.order(Order::Yield);
        attempt.order(Order::Checkpoint);
        assert_eq!(observer.batch(2, 0, 2), Order::Yield);
        assert_eq!(observer.batch(2, 1, 2), Order::Yield);
        assert_eq!(attempt.metrics.trained.get(), 4 * 32);
    }

    #[test]
    fn a_log_keeps_its_end() {
        let attempt = attempt();
        for i in 0..10_000 {
            attempt.log(format!("line {i:08}"));
        }
        let text = attempt.log_text();
        assert!(text.len() <= LOG_BYTES && text.len() > LOG_BYTES - 32, "{}", text.len());
        assert!(text.ends_with("line 00009999\n"));
    }
}
