//! What the slots of a worker share: whether it is broken, drains, or has had nothing to do.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// See the module.
pub(crate) struct Status {
    draining: AtomicBool,
    /// Faults since the last success, and how many are too many.
    faults: AtomicU32,
    fault_limit: u32,
    last_fault: Mutex<String>,
    /// Slots that hold a run, and since when none has.
    busy: AtomicU32,
    idle_since: Mutex<Instant>,
    /// The device is gone for the whole process.
    device_lost: CancellationToken,
    why_lost: OnceLock<String>,
}

impl Status {
    pub(crate) fn new(fault_limit: u32) -> Self {
        Self {
            draining: AtomicBool::new(false),
            faults: AtomicU32::new(0),
            fault_limit,
            last_fault: Mutex::default(),
            busy: AtomicU32::new(0),
            idle_since: Mutex::new(Instant::now()),
            device_lost: CancellationToken::new(),
            why_lost: OnceLock::new(),
        }
    }

    pub(crate) fn ready(&self) -> Result<(), String> {
        if let Some(why) = self.why_lost.get() {
            return Err(format!("device lost: {why}"));
        }
        if self.draining.load(Ordering::Relaxed) {
            return Err("it is draining".to_owned());
        }
        match self.broken() {
            Some(last) => Err(format!("{} faults in a row, the last: {last}", self.fault_limit)),
            None => Ok(()),
        }
    }

    /// No more runs are taken.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// This worker, not the run, broke an attempt.
    pub(crate) fn fault(&self, why: &str) {
        let mut last = self.last_fault.lock().unwrap_or_else(PoisonError::into_inner);
        why.clone_into(&mut last);
        self.faults.fetch_add(1, Ordering::Relaxed);
    }

    /// A training ended as it should.
    pub(crate) fn success(&self) {
        self.faults.store(0, Ordering::Relaxed);
    }

    /// The last fault, when there were too many in a row. A success of another slot ends it.
    pub(crate) fn broken(&self) -> Option<String> {
        (self.faults.load(Ordering::Relaxed) >= self.fault_limit)
            .then(|| self.last_fault.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// A slot holds a run as long as the guard lives.
    pub(crate) fn holding(&self) -> Holding<'_> {
        self.busy.fetch_add(1, Ordering::SeqCst);
        Holding(self)
    }

    /// How long no slot has held a run; `None` while one does.
    pub(crate) fn idle(&self) -> Option<Duration> {
        (self.busy.load(Ordering::SeqCst) == 0)
            .then(|| self.idle_since.lock().unwrap_or_else(PoisonError::into_inner).elapsed())
    }

    /// The device is gone: no training of this process can go on.
    pub(crate) fn lose_device(&self, why: &str) {
        let _ = self.why_lost.set(why.to_owned());
        self.device_lost.cancel();
    }

    /// Resolves when the device is lost, with why.
    pub(crate) async fn device_lost(&self) -> String {
        self.device_lost.cancelled().await;
        self.why_lost.get().cloned().unwrap_or_default()
    }
}

/// See [`Status::holding`].
pub(crate) struct Holding<'a>(&'a Status);

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        let mut since = self.0.idle_since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = Instant::now();
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn three_faults_in_a_row_break_a_worker_and_a_success_mends_it() {
        let status = Status::new(3);
        status.fault("one");
        status.success();
        status.fault("two");
        status.fault("three");
        assert_eq!(status.ready(), Ok(()));
        status.fault("disk full");
        assert_eq!(status.ready().unwrap_err(), "3 faults in a row, the last: disk full");
        status.success();
        assert_eq!(status.ready(), Ok(()));
        status.drain();
        assert_eq!(status.ready().unwrap_err(), "it is draining");
    }

    #[test]
    fn a_worker_is_idle_only_while_no_slot_holds_a_run() {
        let status = Status::new(3);
        assert!(status.idle().is_some());
        let (one, two) = (status.holding(), status.holding());
        drop(one);
        assert_eq!(status.idle(), None);
        drop(two);
        assert!(status.idle().is_some());
    }
}
