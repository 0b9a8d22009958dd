//! The picked configurations with their runs, and the statistics over them; or why there are none.

use futures_util::{StreamExt, stream};
use maud::{Markup, html};
use sweep_core::analysis::Analysis;
use sweep_core::dataset::DataSetInfo;
use sweep_core::record::RunRecord;
use sweep_core::run::Run;
use sweep_report::{Chosen, SideBySide, side_by_side};
use sweep_store::{Reads, RunDetail};

use super::asked::{Pick, Wanted};
use super::{Configuration, Opened, apart, split_of, table};
use crate::service::app::App;
use crate::service::problem::Problem;

/// Runs read at a time.
const AT_ONCE: usize = 8;
/// Runs of a configuration at most; more seeds than anybody trains.
const RUNS_MAX: usize = 200;

/// What came of a choice.
pub(super) enum Compared {
    /// It cannot be compared.
    Not(String),
    /// Side by side.
    Done(Box<Done>),
}

/// A comparison.
pub(super) struct Done {
    pub(super) info: DataSetInfo,
    pub(super) analysis: Analysis,
    /// Of the sweep whose rules were used.
    pub(super) rules_of: String,
    pub(super) sides: SideBySide,
    pub(super) notes: Vec<String>,
}

impl Compared {
    /// For the page.
    pub(super) fn show(&self) -> Markup {
        html! {
            section aria-labelledby="result-h" {
                h2 id="result-h" { "Side by side" }
                @match self {
                    Self::Not(why) => p.notes role="status" { "Not compared: " (why) "." },
                    Self::Done(done) => { (table::show(done)) },
                }
            }
        }
    }
}

fn find<'a>(opened: &'a [Opened], pick: &Pick) -> Option<(&'a Opened, &'a Configuration)> {
    let sweep = opened.iter().find(|sweep| sweep.status.id == pick.sweep)?;
    Some((sweep, sweep.configurations.iter().find(|c| c.id == pick.configuration)?))
}

/// Compares what was picked, with the reference or the first.
pub(super) async fn compare(
    app: &App,
    opened: &[Opened],
    wanted: &Wanted,
) -> Result<Compared, Problem> {
    let not = |why: String| Ok(Compared::Not(why));
    let mut found = Vec::new();
    for pick in &wanted.picks {
        let Some((sweep, configuration)) = find(opened, pick) else {
            return not(format!("the sweep has no configuration {}", pick.configuration));
        };
        let Some(info) = sweep.datasets.get(configuration.dataset) else { continue };
        found.push((sweep, configuration, info));
    }
    if found.len() < 2 {
        return not("pick at least two configurations".to_owned());
    }
    let at =
        wanted.picks.iter().position(|pick| wanted.reference.as_ref() == Some(pick)).unwrap_or(0);
    let (own, first, info) = found[at];
    if let Some((sweep, other, of)) = found.iter().find(|(_, _, of)| split_of(of) != split_of(info))
    {
        return not(format!(
            "{} of {} and {} of {} were not measured on the same images: {}",
            first.label,
            own.status.name,
            other.label,
            sweep.status.name,
            apart(info, of)
        ));
    }
    let mut notes = Vec::new();
    let mut read: Vec<(String, bool, Vec<RunRecord>)> = Vec::new();
    for (sweep, configuration, _) in &found {
        let label = format!("{}: {}", sweep.status.name, configuration.label);
        if configuration.runs.len() > RUNS_MAX {
            notes.push(format!(
                "{label}: the first {RUNS_MAX} of {} seeds",
                configuration.runs.len()
            ));
        }
        if sweep.is_adaptive {
            notes.push(format!("{}: an adaptive rule gave out the seeds by results, so there are estimates, but neither p values nor verdicts", sweep.status.name));
        }
        read.push((label, sweep.is_adaptive, records(app, configuration).await?));
    }
    let shared = |records: &[RunRecord]| {
        records
            .iter()
            .filter(|r| read[at].2.iter().any(|o| o.run.spec.seed == r.run.spec.seed))
            .count()
    };
    for (i, (label, _, records)) in read.iter().enumerate() {
        if i != at && shared(records) == 0 {
            notes.push(format!("{label} shares no seed with the reference: nothing can be paired"));
        }
    }
    let (analysis, info, rules_of) = (own.analysis.clone(), info.clone(), own.status.name.clone());
    let (rules, images) = (analysis.clone(), info.clone());
    let work = move || {
        let chosen: Vec<Chosen<'_>> = read
            .iter()
            .map(|(label, by_looks, records)| Chosen {
                label: label.clone(),
                runs: records.iter().collect(),
                by_looks: *by_looks,
            })
            .collect();
        side_by_side(&chosen, at, &images, &rules)
    };
    let sides = app.heavy(work).await?;
    notes.dedup();
    Ok(Compared::Done(Box::new(Done { info, analysis, rules_of, sides, notes })))
}

/// The runs of a configuration in the order of their seeds; those the store has not yet are left out.
async fn records(app: &App, configuration: &Configuration) -> Result<Vec<RunRecord>, Problem> {
    let mut ids = configuration.runs.clone();
    ids.sort();
    ids.dedup();
    ids.truncate(RUNS_MAX);
    let mut reading = std::pin::pin!(
        stream::iter(ids).map(async |(_, id)| app.store.run(&id).await).buffered(AT_ONCE)
    );
    let mut out = Vec::new();
    while let Some(found) = reading.next().await {
        out.extend(found?.map(record));
    }
    Ok(out)
}

fn record(run: RunDetail) -> RunRecord {
    let state = run.state.name();
    RunRecord {
        state,
        attempts: run.state.tally.attempts,
        fence: run.state.tally.fence,
        holder: None,
        error: run.error,
        result: run.result,
        run: Run { id: run.id, ord: 0, spec: run.spec },
    }
}
