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
use super::configurations::Looks;
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
    pub(super) sweeps: Vec<SweepStatus>,
    demand: Demand,
    workers: Vec<WorkerStatus>,
}

impl Snapshot {
    pub(super) async fn take(store: &impl Reads) -> Result<Self, StoreError> {
        let sweeps = store.sweeps().await?;
        let demand = store.demand().await?;
        let workers = store.workers().await?;
        Ok(Self { at: Instant::now(), time: SystemTime::now(), sweeps, demand, workers })
    }
}

/// Looks at the store every few seconds until the stop.
pub(crate) async fn watch(app: &App) {
    let mut looks = Looks::default();
    loop {
        let mut looked = look(app).await;
        if looked.is_ok() {
            looked = looks.update(app).await;
        }
        if let Err(error) = looked {
            tracing::warn!(%error, "the store cannot be looked at for its metrics; trying again")
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = app.stop.cancelled() => return,
        }
    }
}

/// Looks at the store once.
pub(super) async fn look(app: &App) -> Result<(), StoreError> {
    let snapshot = Snapshot::take(&app.store).await?;
    let now = app.metrics.0.begun.elapsed().as_secs();
    app.metrics.take_in(snapshot, now, app.feed.listeners());
    Ok(())
}

impl Metrics {
    pub(super) fn take_in(&self, snapshot: Snapshot, now: u64, subscribers: usize) {
        let mut shown = self.shown();
        let at = since_1970(snapshot.time).as_millis() as i64;
        let turnover = shown.admitted.update(&snapshot.sweeps, now, at);
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
    oldest: Gauge,
    configurations: IntGaugeVec,
    complete: IntGaugeVec,
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
            oldest: Gauge::new(
                "sweep_oldest_leasable_run_age_seconds",
                "Since the submission of the longest waiting sweep with a run that a worker may lease now; 0 without",
            )?,
            configurations: IntGaugeVec::new(
                of("sweep_configurations", "Configurations of a sweep"),
                &["sweep"],
            )?,
            complete: IntGaugeVec::new(
                of("sweep_configurations_complete", "Configurations of which every run has ended"),
                &["sweep"],
            )?,
            progress: GaugeVec::new(
                of(
                    "sweep_last_progress_timestamp_seconds",
                    "Last epoch or result; before the first, when this coordinator first saw the sweep",
                ),
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
            &self.oldest,
            &self.configurations,
            &self.complete,
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
                    let progress = place.progress as f64 / 1000.0;
                    self.progress.with_label_values(&[&place.label]).set(progress);
                    if let Some(found) = place.configurations {
                        let label = &[&place.label];
                        self.configurations.with_label_values(label).set(found.all.into());
                        self.complete.with_label_values(label).set(found.complete.into());
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
        let now = since_1970(snapshot.time);
        let waiting = snapshot.sweeps.iter().filter(|sweep| leasable(sweep) > 0);
        if let Some(oldest) = waiting.map(|sweep| sweep.submitted().0).min() {
            self.oldest.set((now.as_millis() as i64 - oldest).max(0) as f64 / 1000.0);
        }
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

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
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
        if let Some(snapshot) = &shown.snapshot {
            families.snapshot.set(since_1970(snapshot.time).as_secs_f64());
        }
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
            // The time of the last look says why the rest is missing.
            Some(_) => [families.subscribers.collect(), families.snapshot.collect()].concat(),
            None => families.subscribers.collect(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::admitted::tests::sweep;
    use super::super::configurations::Configurations;
    use super::*;
    use sweep_core::ids::Timestamp;

    pub(in super::super) fn snapshot(sweeps: Vec<SweepStatus>) -> Snapshot {
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
        assert!(text.contains("\nsweep_store_snapshot_timestamp_seconds "), "why it is missing");
    }

    #[test]
    fn the_oldest_run_is_that_of_a_sweep_that_could_be_leased() {
        let metrics = Metrics::new().unwrap();
        let age = |sweeps| {
            metrics.take_in(Snapshot { time: at(100), ..snapshot(sweeps) }, 0, 1);
            let text = metrics.text().unwrap();
            let line =
                text.lines().find(|line| line.starts_with("sweep_oldest_leasable_run")).unwrap();
            line.split_once(' ').unwrap().1.parse::<f64>().unwrap()
        };
        let with = |seconds: i64, queued, state| SweepStatus {
            created: Timestamp(seconds * 1000),
            state,
            ..sweep(seconds as u32, queued)
        };
        assert_eq!(age(vec![]), 0.0);
        let paused = with(10, 1, SweepState::Paused);
        let ended = with(20, 0, SweepState::Active);
        let (one, two) = (with(60, 1, SweepState::Active), with(90, 1, SweepState::Active));
        assert_eq!(age(vec![two, one, ended, paused]), 40.0);
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn configurations_are_absent_until_they_were_read_and_progress_begins_with_the_first_look() {
        let metrics = Metrics::new().unwrap();
        let status = sweep(1, 1);
        metrics.take_in(Snapshot { time: at(50), ..snapshot(vec![status.clone()]) }, 0, 1);
        let text = metrics.text().unwrap();
        assert!(!text.contains("sweep_configurations"), "{text}");
        assert!(
            text.contains("\"} 50\n") && text.contains("sweep_last_progress_timestamp_seconds{")
        );
        metrics.shown().admitted.counted(&status.id, Configurations { all: 3, complete: 2 });
        let text = metrics.text().unwrap();
        for (name, value) in [("sweep_configurations{", 3), ("sweep_configurations_complete{", 2)] {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            assert!(line.ends_with(&format!(" {value}")), "{line}");
        }
    }
}
