//! `docs/metrics.md` lists what the two services really show: written from their pages, checked here.

use std::collections::{BTreeMap, BTreeSet};

use sweep_core::ids::{RunId, Timestamp};
use sweep_core::lifecycle::StateName;
use sweep_store::{AnyStore, Event, EventCursor, EventKind, Reads};

use super::admitted::tests::sweep;
use super::configurations::Configurations;
use super::snapshot::tests::snapshot;
use super::{Metrics, Timed};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
/// Set it to have the lists written anew.
const WRITE: &str = "SWEEP_WRITE_DOCS";
/// The metrics of the process itself, which the library names and Linux knows.
const PROCESS: &str = "process_";

/// A page on which every metric of a coordinator has a series.
async fn every_metric() -> String {
    let metrics = Metrics::new().unwrap();
    let shown = sweep(1, 1);
    metrics.take_in(snapshot(vec![shown.clone()]), 0, 1);
    metrics.shown().admitted.counted(&shown.id, Configurations::default());
    metrics.answered("/healthz", "GET", 200, 0.001);
    Timed::new(AnyStore::open("sqlite::memory:").unwrap(), metrics.clone()).demand().await.unwrap();
    metrics.text().unwrap()
}

#[derive(Default)]
struct Family {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

/// The families of a page in the text format.
fn families(page: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::<String, Family>::new();
    for line in page.lines() {
        if let Some((name, help)) =
            line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '))
        {
            families.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if let Some((name, rest)) = line.split_once('{') {
            let labels = rest
                .rsplit_once('}')
                .unwrap()
                .0
                .split(',')
                .map(|label| label.split_once('=').unwrap().0);
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .unwrap_or(name);
            let name = if families.contains_key(name) { name } else { base };
            let family = families.get_mut(name).unwrap();
            family.labels.extend(labels.filter(|label| *label != "le").map(str::to_owned));
        }
    }
    families
}

/// A Markdown table of a page's families.
fn table(page: &str) -> String {
    let mut table = "| metric | type | labels | |\n| --- | --- | --- | --- |\n".to_owned();
    for (name, family) in families(page).iter().filter(|(name, _)| !name.starts_with(PROCESS)) {
        let labels: Vec<_> = family.labels.iter().map(String::as_str).collect();
        let (kind, labels, help) = (&family.kind, labels.join(", "), &family.help);
        table += &format!("| `{name}` | {kind} | {labels} | {help} |\n");
    }
    table
}

/// The text with what stands between the marks of `part` replaced.
fn with(text: &str, part: &str, table: &str) -> String {
    let (open, close) =
        (format!("<!-- {part}: written by a test -->\n"), format!("<!-- /{part} -->\n"));
    let (before, rest) = text.split_once(&open).unwrap_or_else(|| panic!("{PAGE} has no {open}"));
    let (_, after) = rest.split_once(&close).unwrap_or_else(|| panic!("{PAGE} has no {close}"));
    format!("{before}{open}{table}{close}{after}")
}

#[tokio::test]
async fn the_page_of_metrics_lists_what_the_services_show() {
    let stored = std::fs::read_to_string(PAGE).unwrap();
    let coordinator = with(&stored, "coordinator", &table(&every_metric().await));
    let written = with(&coordinator, "worker", &table(&worker::every_metric()));
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(PAGE, &written).unwrap();
    } else {
        assert_eq!(stored, written, "docs/metrics.md has drifted: run this test with {WRITE}=1");
    }
}

#[tokio::test]
async fn every_metric_has_a_help_and_a_name_in_base_units() {
    for page in [every_metric().await, worker::every_metric()] {
        for (name, family) in families(&page) {
            assert!(name.starts_with("sweep_") || name.starts_with(PROCESS), "{name}");
            assert!(!family.help.is_empty(), "{name}");
            if name.starts_with("sweep_") {
                assert_eq!(family.kind == "counter", name.ends_with("_total"), "{name}");
            }
            for unit in ["_ms", "_millis", "_mb", "_percent", "_minutes"] {
                assert!(!name.contains(unit), "{name}");
            }
            let allowed = [
                "sweep",
                "state",
                "reason",
                "op",
                "route",
                "method",
                "status",
                "component",
                "version",
                "revision",
                "loss",
                "mode",
                "outcome",
                "phase",
                "gpu",
            ];
            for label in family.labels {
                assert!(allowed.contains(&label.as_str()), "{name} has an open label: {label}");
            }
        }
    }
}

#[test]
fn a_worker_stays_within_its_budget_of_series() {
    // All losses in both modes; buckets of a histogram count each.
    let page = worker::every_metric();
    let of = |name: &str| page.lines().filter(|line| line.starts_with(name)).count();
    let runs = of("sweep_run_duration_seconds");
    let rest = of("sweep_") - runs;
    let losses = 2 * sweep_core::catalogue::losses().len();
    assert!(rest + runs * losses <= 1000, "{rest} + {runs} for each loss and mode");
}

/// Counters of a sweep start at 0 with its submission, so that the first failure is a change.
#[test]
fn a_sweep_has_all_its_counters_before_its_first_run_ends() {
    let metrics = Metrics::new().unwrap();
    let shown = sweep(1, 3);
    let event = |kind| Event { cursor: EventCursor(String::new()), at: Timestamp(0), kind };
    let submitted = event(EventKind::Submitted { sweep: shown.id.clone() });
    assert!(metrics.is_news(&submitted));
    metrics.take_in(snapshot(vec![shown.clone()]), 0, 1);
    assert!(!metrics.is_news(&submitted), "it has series now");
    let zeros = |text: &str| {
        text.lines().filter(|line| line.contains("sweep=\"") && line.ends_with(" 0")).count()
    };
    let before = metrics.text().unwrap();
    assert!(before.contains("sweep_runs_finished_total{state=\"failed\""), "{before}");
    assert!(zeros(&before) >= 1 + 3 + 5);
    let sweeps = vec![shown.id.clone()];
    let run: RunId = sweep_core::ids::RunId::of(&sweep_core::ids::Digest::of(b"run"));
    let failed = event(EventKind::Run { run, sweeps, state: StateName::Failed });
    metrics.hear(&failed, &mut std::collections::HashSet::new());
    let line = |text: &str| {
        text.lines()
            .find(|line| line.contains("finished_total{") && line.contains("failed"))
            .unwrap()
            .to_owned()
    };
    assert!(line(&metrics.text().unwrap()).ends_with(" 1"));
}
