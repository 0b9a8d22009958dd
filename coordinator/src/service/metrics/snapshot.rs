//! The store as it was a moment ago, and the gauges that show it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, IntGauge, IntGaugeVec, Opts};
use sweep_core::lifecycle::StateName;
use sweep_store::{Demand, Reads, StoreError, SweepState, SweepStatus, WorkerStatus};

use super::admitted::is_over;
use super::{Broken, Metrics, Shown};
use crate::service::app::App;

/// How often the store is looked at.
const EVERY: Duration = Duration::from_secs(5);
/// An older look is not shown: a number that cannot be read is absent.
const STALE: Duration = Duration::from_secs(60);
/// A slot that was not heard for so long has missed its beats.
const SILENT: i64 = 60_000;
/// Sweeps without series of their own.
const OTHER: &str = "other";
const SLOTS: [&str; 4] = ["idle", "busy", "draining", "silent"];

/// One look at the store.
pub(crate) struct Snapshot {
    at: Instant,
    time: SystemTime,
    sweeps: Vec<SweepStatus>,
    demand: Demand,
    workers: Vec<WorkerStatus>,
}

impl Snapshot {
    async fn take(store: &impl Reads) -> Result<Self, StoreError> {
        let sweeps = store.sweeps().await?;
        let demand = store.demand().await?;
        let workers = store.workers().await?;
        Ok(Self { at: Instant::now(), time: SystemTime::now(), sweeps, demand, workers })
    }
}

/// Looks at the store every few seconds until the stop.
pub(crate) async fn watch(app: &App) {
    let begun = Instant::now();
    loop {
        match Snapshot::take(&app.store).await {
            Ok(snapshot) => {
                app.metrics.take_in(snapshot, begun.elapsed().as_secs(), app.feed.listeners())
            }
            Err(error) => {
                tracing::warn!(%error, "the store cannot be looked at for its metrics; trying again")
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = app.stop.cancelled() => return,
        }
    }
}

impl Metrics {
    fn take_in(&self, snapshot: Snapshot, now: u64, subscribers: usize) {
        let mut shown = self.shown();
        let turnover = shown.admitted.update(&snapshot.sweeps, now);
        shown.snapshot = Some(snapshot);
        // The counter of events listens, too.
        shown.subscribers = subscribers.saturating_sub(1);
        drop(shown);
        self.turn_over(&turnover);
    }

    /// Runs that are in training, as of the last look.
    pub(super) fn training(&self) -> Vec<sweep_core::ids::RunId> {
        let shown = self.shown();
        let workers = shown.snapshot.iter().flat_map(|snapshot| &snapshot.workers);
        workers.filter_map(|slot| slot.run.clone()).collect()
    }
}

/// The gauges: made anew for each scrape, so that a sweep that left takes its series along.
pub(super) struct Gauges {
    shown: Arc<Mutex<Shown>>,
    descriptions: Vec<Desc>,
}

struct Families {
    runs: IntGaugeVec,
    leasable: IntGaugeVec,
    wanted: IntGauge,
    progress: GaugeVec,
    slots: IntGaugeVec,
    snapshot: Gauge,
    subscribers: IntGauge,
    overflow: IntGauge,
}

impl Families {
    fn new() -> Result<Self, Broken> {
        let of = |name, help| Opts::new(name, help);
        Ok(Self {
            runs: IntGaugeVec::new(
                of("sweep_runs", "Runs of a sweep by state"),
                &["sweep", "state"],
            )?,
            leasable: IntGaugeVec::new(
                of(
                    "sweep_runs_leasable",
                    "Queued runs that a worker may lease now: none when paused or at the cap",
                ),
                &["sweep"],
            )?,
            wanted: IntGauge::new(
                "sweep_runs_wanted",
                "Slots that could work now, as /api/v1/demand says",
            )?,
            progress: GaugeVec::new(
                of("sweep_last_progress_timestamp_seconds", "Last epoch or result"),
                &["sweep"],
            )?,
            slots: IntGaugeVec::new(
                of("sweep_slots", "Training slots as the store knows them"),
                &["state"],
            )?,
            snapshot: Gauge::new(
                "sweep_store_snapshot_timestamp_seconds",
                "When the store was looked at for these gauges",
            )?,
            subscribers: IntGauge::new("sweep_event_subscribers", "Open streams of events")?,
            overflow: IntGauge::new(
                "sweep_metrics_overflow_sweeps",
                "Unfinished sweeps without series of their own",
            )?,
        })
    }

    fn all(&self) -> Vec<&dyn Collector> {
        vec![
            &self.runs,
            &self.leasable,
            &self.wanted,
            &self.progress,
            &self.slots,
            &self.snapshot,
            &self.subscribers,
            &self.overflow,
        ]
    }

    fn fill(&self, shown: &Shown, snapshot: &Snapshot) {
        let (mut other, mut overflow) = (None::<BTreeMap<StateName, i64>>, 0);
        let mut other_leasable = 0;
        for sweep in &snapshot.sweeps {
            let counts = StateName::ALL.map(|state| (state, i64::from(sweep.counts.of(state))));
            match shown.admitted.get(&sweep.id) {
                Some(place) => {
                    for (state, count) in counts {
                        self.runs
                            .with_label_values(&[place.label.as_str(), state.as_str()])
                            .set(count);
                    }
                    self.leasable.with_label_values(&[&place.label]).set(leasable(sweep));
                    if let Some(at) = place.progress {
                        self.progress.with_label_values(&[&place.label]).set(at as f64 / 1000.0);
                    }
                }
                None if is_over(sweep) => {}
                None => {
                    overflow += 1;
                    other_leasable += leasable(sweep);
                    let sums = other.get_or_insert_default();
                    for (state, count) in counts {
                        *sums.entry(state).or_default() += count;
                    }
                }
            }
        }
        if let Some(sums) = other {
            for (state, sum) in sums {
                self.runs.with_label_values(&[OTHER, state.as_str()]).set(sum);
            }
            self.leasable.with_label_values(&[OTHER]).set(other_leasable);
        }
        self.overflow.set(overflow);
        self.wanted.set(i64::from(snapshot.demand.wanted));
        let now = snapshot.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.snapshot.set(now.as_secs_f64());
        for state in SLOTS {
            self.slots.with_label_values(&[state]).set(0);
        }
        for slot in &snapshot.workers {
            let silent = now.as_millis() as i64 - slot.seen.0 > SILENT;
            let state = match (silent, slot.drain, &slot.run) {
                (true, _, _) => "silent",
                (false, true, _) => "draining",
                (false, false, Some(_)) => "busy",
                (false, false, None) => "idle",
            };
            self.slots.with_label_values(&[state]).inc();
        }
    }
}

/// What a worker could lease of a sweep now. A run that several sweeps share counts for each.
fn leasable(sweep: &SweepStatus) -> i64 {
    if sweep.state != SweepState::Active {
        return 0;
    }
    let room = sweep.cap.map_or(u32::MAX, |cap| cap.saturating_sub(sweep.counts.leased));
    i64::from(sweep.counts.queued.min(room))
}

impl Gauges {
    pub(super) fn new(shown: Arc<Mutex<Shown>>) -> Result<Self, Broken> {
        let families = Families::new()?;
        let descriptions = families.all().into_iter().flat_map(Collector::desc).cloned().collect();
        Ok(Self { shown, descriptions })
    }
}

impl Collector for Gauges {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Made once before, so it can be made again.
        let Ok(families) = Families::new() else { return Vec::new() };
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        families.subscribers.set(shown.subscribers as i64);
        match &shown.snapshot {
            Some(snapshot) if snapshot.at.elapsed() < STALE => {
                families.fill(&shown, snapshot);
                families
                    .all()
                    .into_iter()
                    .flat_map(Collector::collect)
                    .filter(|family| !family.get_metric().is_empty())
                    .collect()
            }
            _ => families.subscribers.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::admitted::tests::sweep;
    use super::*;

    fn snapshot(sweeps: Vec<SweepStatus>) -> Snapshot {
        let demand = Demand { wanted: 7, ..Demand::default() };
        Snapshot {
            at: Instant::now(),
            time: SystemTime::now(),
            sweeps,
            demand,
            workers: Vec::new(),
        }
    }

    fn series(metrics: &Metrics) -> usize {
        metrics.text().unwrap().lines().filter(|line| line.starts_with("sweep_")).count()
    }

    #[test]
    fn two_hundred_sweeps_stay_within_the_budget_of_series_and_leave_none_behind() {
        let metrics = Metrics::new().unwrap();
        let empty = series(&metrics);
        let sweeps =
            |queued| (0..200).rev().map(|number| sweep(number, queued)).collect::<Vec<_>>();
        metrics.take_in(snapshot(sweeps(3)), 0, 1);
        let text = metrics.text().unwrap();
        assert!(series(&metrics) < 1500, "{}", series(&metrics));
        assert!(
            text.contains("sweep_runs_wanted 7")
                && text.contains("sweep_metrics_overflow_sweeps 150")
        );
        assert!(
            text.contains("sweep_runs{state=\"queued\",sweep=\"other\"} 450")
                || text.contains("sweep_runs{sweep=\"other\",state=\"queued\"} 450"),
            "{text}"
        );
        assert_eq!(text.matches("sweep_run_requeues_total{").count(), 50 * 5);
        metrics.take_in(snapshot(sweeps(0)), 10, 1);
        metrics.take_in(snapshot(sweeps(0)), 4000, 1);
        // Wanted, slots, snapshot, overflow remain.
        assert!(series(&metrics) <= empty + 8, "{}", metrics.text().unwrap());
    }

    #[test]
    fn an_old_look_is_not_shown() {
        let metrics = Metrics::new().unwrap();
        let mut old = snapshot(vec![sweep(1, 1)]);
        old.at = Instant::now().checked_sub(2 * STALE).unwrap();
        metrics.take_in(old, 0, 1);
        let text = metrics.text().unwrap();
        assert!(!text.contains("sweep_runs_wanted") && !text.contains("sweep_runs{"), "{text}");
        assert!(text.contains("sweep_event_subscribers 0"));
    }
}
