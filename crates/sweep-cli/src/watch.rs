//! Looking at a sweep until it ends: `sweep watch`, `sweep submit --wait`, `sweep run`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use coordinator::View;
use sweep_core::ids::{RunId, SweepId};
use sweep_core::lifecycle::StateName;
use sweep_report::terminal;
use sweep_store::{Reads, SweepState, SweepStatus};
use tokio_util::sync::CancellationToken;

use crate::args::{Global, WatchArgs};
use crate::exit::Ended;
use crate::live::{Live, Speaker};
use crate::source::{Source, find};
use crate::{out, report, stopping, stored};

/// Between two looks at a store in this process or on this machine: quick enough for an eye, rare enough to cost nothing
/// beside training.
pub(crate) const NEAR: Duration = Duration::from_millis(250);
/// Between two looks over a network.
const FAR: Duration = Duration::from_secs(1);
/// Drawing the detailed view may use this share of the time at most; training needs the cores.
const VIEW_SHARE: u32 = 20;
/// So many failures are told one by one; `sweep runs --state failed` lists all.
const TOLD: usize = 20;

pub(crate) fn watch(args: &WatchArgs, global: &Global) -> Result<Ended> {
    stored::block_on(async {
        let source = Source::to_read(global)?;
        let status = find(&source, args.sweep.as_deref()).await?;
        to_the_end(&source, &status.id, args.quiet, args.json, global).await
    })
}

/// Shows a sweep that others work on until it ends, then its verdicts.
pub(crate) async fn to_the_end(
    source: &Source,
    id: &SweepId,
    quiet: bool,
    as_json: bool,
    global: &Global,
) -> Result<Ended> {
    let status = status(source, id).await?;
    let done = status.counts.total() - status.counts.unfinished();
    let mut live = Live::new(quiet, status.counts.total().into(), done.into());
    let speaker = live.speaker();
    let left = CancellationToken::new();
    let again =
        format!("the sweep goes on; `sweep watch {}{}` looks again", status.name, source.flag());
    stopping::on_signals(left.clone(), move || speaker.say(&again))
        .context("cannot listen for Ctrl-C")?;
    let every = match source {
        Source::Store(_) => NEAR,
        Source::Coordinator(_) => FAR,
    };
    let ended = tokio::select! {
        ended = until_done(source, id, &mut live, every) => { ended?; true }
        () = left.cancelled() => false,
    };
    live.finish();
    if !ended {
        return Ok(Ended::Interrupted);
    }
    let view = View::read(source, id).await?;
    show(&view, as_json)?;
    report::looked_at(&view, global).await;
    Ok(ended_how(&view.status))
}

/// How a sweep that has ended ended.
pub(crate) fn ended_how(status: &SweepStatus) -> Ended {
    if status.state == SweepState::Cancelled {
        Ended::Cancelled
    } else if status.counts.failed > 0 {
        Ended::WithFailedRuns
    } else {
        Ended::Done
    }
}

/// The tables of a sweep on standard output.
pub(crate) fn show(view: &View, as_json: bool) -> Result<()> {
    let report = view.report();
    if as_json {
        return out::text(&report.json());
    }
    out::text(&terminal::summary(&report, out::style()))?;
    out::text("\n")?;
    out::text(&terminal::comparison(&report, out::style()))
}

/// Shows the sweep until all its runs have ended and no look is to come. A place that cannot be reached for a while is asked
/// again: the sweep goes on without being watched.
pub(crate) async fn until_done(
    reads: &(impl Reads + 'static),
    id: &SweepId,
    live: &mut Live,
    every: Duration,
) -> Result<()> {
    let mut told = Failures::default();
    let mut draw_after = Instant::now();
    let mut away = false;
    loop {
        match look(reads, id, live, &mut told, &mut draw_after).await {
            Ok(true) => return Ok(()),
            Ok(false) => away = false,
            Err(error) if is_retryable(&error) => {
                if !away {
                    live.speaker().say(&format!("{error:#}; trying again"));
                }
                away = true;
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(every).await;
    }
}

fn is_retryable(error: &anyhow::Error) -> bool {
    let store = error.chain().find_map(|cause| cause.downcast_ref::<sweep_store::StoreError>());
    store.is_some_and(sweep_store::StoreError::is_retryable)
}

/// One look; whether the sweep has ended.
async fn look(
    reads: &(impl Reads + 'static),
    id: &SweepId,
    live: &mut Live,
    told: &mut Failures,
    draw_after: &mut Instant,
) -> Result<bool> {
    let status = status(reads, id).await?;
    if live.wants_detail(status.counts.total() as usize) && Instant::now() >= *draw_after {
        let began = Instant::now();
        live.show(&status.counts, Some(&View::read(reads, id).await?));
        *draw_after = Instant::now() + began.elapsed() * VIEW_SHARE;
    } else {
        live.show(&status.counts, None);
    }
    told.tell(reads, &status, &live.speaker()).await?;
    Ok(status.is_done() && coordinator::rounds::is_last(reads, id).await?)
}

/// Which failed runs were told.
#[derive(Default)]
struct Failures {
    told: BTreeSet<RunId>,
    count: u32,
}

impl Failures {
    async fn tell(
        &mut self,
        reads: &impl Reads,
        status: &SweepStatus,
        speaker: &Speaker,
    ) -> Result<()> {
        if status.counts.failed == self.count || self.told.len() > TOLD {
            return Ok(());
        }
        self.count = status.counts.failed;
        let failed =
            reads.runs(&status.id, &[StateName::Failed], false, None, 2 * TOLD as u32).await?;
        for record in failed.runs {
            if !self.told.insert(record.run.id.clone()) {
                continue;
            }
            if self.told.len() > TOLD {
                speaker.say("more runs failed: `sweep runs SWEEP --state failed` lists them");
                break;
            }
            let error = record.error.unwrap_or_default();
            speaker.say(&format!(
                "run {} failed: {}",
                record.run.id,
                error.lines().next().unwrap_or_default()
            ));
        }
        Ok(())
    }
}

pub(crate) async fn status(reads: &impl Reads, id: &SweepId) -> Result<SweepStatus> {
    Ok(reads.sweep(id).await?.context("the sweep has vanished from the store")?.0)
}
