//! The OS thread a slot trains on. It outlives attempts, so that a trainer keeps its data sets and compiled parts warm.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};

use sweep_core::run::RunSpec;
use sweep_core::trainer::{Checkpoint, Outcome, TrainError, Trainer};
use tokio::sync::oneshot;

use crate::attempt::{Attempt, AttemptObserver};
use crate::inputs::Inputs;

/// Makes a trainer on the thread that will use it. The [`Inputs`] are those of its slot: before each run they hold what it needs.
pub type TrainerFactory = Arc<dyn Fn(Inputs) -> Box<dyn Trainer> + Send + Sync>;

/// How the training of one attempt ended.
pub(crate) enum Ended {
    /// The trainer returned.
    Returned(Result<Outcome, TrainError>),
    /// It panicked, as tensor libraries do on shape errors and out of memory.
    Panicked(String),
}

struct Order {
    run: RunSpec,
    resume: Option<Checkpoint>,
    attempt: Arc<Attempt>,
    reply: oneshot::Sender<Ended>,
}

/// A handle to the thread; dropping it ends the thread after the attempt in hand.
pub(crate) struct TrainingThread {
    orders: mpsc::Sender<Order>,
}

/// The thread is gone, which happens only if it could not be started.
#[derive(Debug, thiserror::Error)]
#[error("the training thread has ended")]
pub(crate) struct ThreadGone;

impl TrainingThread {
    /// Starts the thread `name`.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub(crate) fn start(
        name: String,
        factory: TrainerFactory,
        inputs: Inputs,
    ) -> std::io::Result<Self> {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::Builder::new().name(name).spawn(move || {
            let mut trainer = None;
            for order in inbox {
                let make = || factory(inputs.clone());
                let ended = train(&mut trainer, make, order.run, order.resume, &order.attempt);
                // Nobody listens when the slot gave up on this attempt (stalled): the next order is served all the same.
                let _ = order.reply.send(ended);
            }
        })?;
        Ok(Self { orders })
    }

    /// Begins an attempt; the receiver resolves when it has ended.
    pub(crate) fn train(
        &self,
        run: RunSpec,
        resume: Option<Checkpoint>,
        attempt: Arc<Attempt>,
    ) -> Result<oneshot::Receiver<Ended>, ThreadGone> {
        let (reply, ended) = oneshot::channel();
        self.orders.send(Order { run, resume, attempt, reply }).map_err(|_| ThreadGone)?;
        Ok(ended)
    }
}

fn train(
    kept: &mut Option<Box<dyn Trainer>>,
    make: impl Fn() -> Box<dyn Trainer>,
    run: RunSpec,
    resume: Option<Checkpoint>,
    attempt: &Attempt,
) -> Ended {
    // The trainer is taken out for the call: after a panic its state is unknown, so the next run gets a new one.
    let kept_before = kept.take();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let mut trainer = kept_before.unwrap_or_else(make);
        let mut observer = AttemptObserver(attempt);
        let result = trainer.train(&run, resume, &mut observer);
        (trainer, result)
    }));
    match caught {
        Ok((trainer, result)) => {
            *kept = Some(trainer);
            Ended::Returned(result)
        }
        Err(payload) => {
            let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
            Ended::Panicked(text.unwrap_or_else(|| "panicked without a message".to_owned()))
        }
    }
}
