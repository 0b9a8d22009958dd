//! `/compare`: configurations of any sweeps side by side, where they were measured on the same images.
//!
//! Three steps in one address, so that any of them can be sent to somebody: sweeps, configurations of them, the comparison.

mod asked;
mod chosen;
mod table;

use std::collections::BTreeMap;

use axum::extract::{RawQuery, State};
use maud::{Markup, html};
use sweep_core::dataset::DataSetInfo;
use sweep_core::ids::{ConfigurationId, Digest, RunId, SweepId};
use sweep_store::{Reads, SweepStatus};

use self::asked::{Pick, Wanted};
use super::frame::{Frame, Here, Page, scroll};
use super::session::Viewer;
use super::words::{self, Standing};
use crate::service::app::App;
use crate::service::problem::Problem;

/// Sweeps that are offered.
const OFFERED: usize = 100;
/// Configurations of a sweep that are offered.
const LISTED: usize = 300;

/// A sweep that was chosen, as far as a choice among its configurations needs it.
pub(super) struct Opened {
    status: SweepStatus,
    is_adaptive: bool,
    analysis: sweep_core::analysis::Analysis,
    datasets: Vec<DataSetInfo>,
    configurations: Vec<Configuration>,
}

/// A configuration of a chosen sweep.
pub(super) struct Configuration {
    id: ConfigurationId,
    dataset: usize,
    label: String,
    runs: Vec<(u64, RunId)>,
}

/// The page.
pub(crate) async fn get(
    State(app): State<App>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Page, Problem> {
    let wanted = Wanted::parse(query.as_deref().unwrap_or_default())?;
    let all = app.store.sweeps().await?;
    let opened = open(&app, &wanted.sweeps).await?;
    let result = if wanted.picks.is_empty() {
        None
    } else {
        Some(chosen::compare(&app, &opened, &wanted).await?)
    };
    Ok(Frame::still("Compare", &viewer, Here::Compare).page(html! {
        h1 { "Compare" }
        p.lead { "Configurations of any sweeps side by side, over the seeds they share, where they were measured on the same validation images." }
        @if let Some(result) = &result { (result.show()) }
        @if !opened.is_empty() { (choose_configurations(&opened, &wanted)) }
        (choose_sweeps(&all, &wanted))
    }))
}

async fn open(app: &App, sweeps: &[SweepId]) -> Result<Vec<Opened>, Problem> {
    let mut out = Vec::new();
    for id in sweeps {
        let Some((status, document)) = app.store.sweep(id).await? else {
            return Err(crate::view::ViewError::Unknown(id.clone()).into());
        };
        // A plan of many runs takes a moment.
        let planned = app.heavy(move || document.open()).await?;
        let (sweep, plan) = planned.map_err(crate::view::ViewError::Document)?;
        let mut runs: BTreeMap<ConfigurationId, Vec<(u64, RunId)>> = BTreeMap::new();
        let by_configuration = plan.by_configuration();
        for (planned, own) in plan.configurations.iter().zip(by_configuration) {
            let of = runs.entry(planned.configuration.id()).or_default();
            of.extend(own.into_iter().map(|run| (run.spec.seed, run.id.clone())));
        }
        let configurations = plan.configurations.iter().map(|planned| {
            let id = planned.configuration.id();
            let runs = runs.get(&id).cloned().unwrap_or_default();
            let label = sweep.candidates().get(planned.candidate).map_or("", |c| c.label.as_str());
            Configuration { id, dataset: planned.dataset, label: label.to_owned(), runs }
        });
        out.push(Opened {
            status,
            is_adaptive: sweep.adaptive().is_some(),
            analysis: sweep.analysis().clone(),
            configurations: configurations.collect(),
            datasets: plan.datasets,
        });
    }
    Ok(out)
}

fn choose_sweeps(all: &[SweepStatus], wanted: &Wanted) -> Markup {
    let now = words::now();
    let shown = || {
        all.iter()
            .filter(|s| wanted.sweeps.contains(&s.id))
            .chain(all.iter().filter(|s| !wanted.sweeps.contains(&s.id)))
            .take(OFFERED)
    };
    html! {
        section aria-labelledby="sweeps-h" {
            h2 id="sweeps-h" { "Sweeps" }
            @if all.is_empty() { p.quiet { "Nothing was submitted yet." } } @else {
                form method="get" action="/compare" {
                    div.filter {
                        label for="find-sweep" { "Find" }
                        input id="find-sweep" type="search" data-filter="pick-sweeps" data-key="/" hidden;
                        button type="submit" { "Show their configurations" }
                    }
                    (scroll("Sweeps to choose from", &html! {
                        table.picks id="pick-sweeps" {
                            thead { tr { th scope="col" { "Sweep" } th scope="col" { "State" } th scope="col" .number { "Runs" } th scope="col" .number { "Age" } } }
                            tbody { @for sweep in shown() { tr {
                                th scope="row" { label { input type="checkbox" name="sweep" value=(sweep.id) checked[wanted.sweeps.contains(&sweep.id)]; " " (sweep.name) } }
                                td { (Standing::of(sweep).badge()) }
                                td.number { (sweep.counts.total()) }
                                td.number { (words::age(sweep.created, now)) }
                            } } }
                        }
                    }))
                    @if all.len() > OFFERED { p.quiet { "The newest " (OFFERED) " of " (all.len()) "; an older one is chosen by its address: " code { "/compare?sweep=ID" } "." } }
                }
            }
        }
    }
}

/// What must be equal for two runs to be paired.
fn split_of(info: &DataSetInfo) -> (Digest, Digest) {
    (info.content, info.split)
}

fn choose_configurations(opened: &[Opened], wanted: &Wanted) -> Markup {
    let mut splits: Vec<(Digest, Digest)> = Vec::new();
    for info in opened.iter().flat_map(|sweep| &sweep.datasets) {
        if !splits.contains(&split_of(info)) {
            splits.push(split_of(info));
        }
    }
    html! {
        section aria-labelledby="pick-h" {
            h2 id="pick-h" { "Configurations" }
            @if splits.len() > 1 {
                p.notes {
                    "These sweeps have " (splits.len()) " different sets of validation images. Only runs on the same images have differences image by image: compare within one of them."
                    (why_apart(opened))
                }
            }
            form method="get" action="/compare" {
                @for sweep in opened { input type="hidden" name="sweep" value=(sweep.status.id); }
                @for split in &splits { (of_split(opened, *split, wanted)) }
                button.main type="submit" { "Compare" }
                p.quiet { "Each is compared with the reference; without one, with the first." }
            }
        }
    }
}

/// Data sets of one name on different images.
fn why_apart(opened: &[Opened]) -> Markup {
    let infos: Vec<(&str, &DataSetInfo)> = opened
        .iter()
        .flat_map(|s| s.datasets.iter().map(|info| (s.status.name.as_str(), info)))
        .collect();
    let mut said = Vec::new();
    for (at, (sweep, info)) in infos.iter().enumerate() {
        for (other_sweep, other) in &infos[at + 1..] {
            if info.name == other.name && split_of(info) != split_of(other) {
                said.push(format!(
                    "{} of {sweep} and of {other_sweep}: {}",
                    info.name,
                    apart(info, other)
                ));
            }
        }
    }
    html! { @if !said.is_empty() { ul { @for text in said { li { (text) } } } } }
}

/// Why runs on these two cannot be paired.
pub(super) fn apart(a: &DataSetInfo, b: &DataSetInfo) -> String {
    if a.name != b.name {
        format!("{} and {} are different data sets", a.name, b.name)
    } else if a.content != b.content {
        "other pictures, decoding or classes (their content digests differ)".to_owned()
    } else {
        format!(
            "the same pictures, split otherwise ({} and {} validation images; their split digests differ)",
            a.val_count(),
            b.val_count()
        )
    }
}

fn of_split(opened: &[Opened], split: (Digest, Digest), wanted: &Wanted) -> Markup {
    let name = opened.iter().flat_map(|s| &s.datasets).find(|info| split_of(info) == split);
    let images = name.map_or(0, DataSetInfo::val_count);
    html! {
        fieldset {
            legend { (name.map_or("", |info| info.name.as_str())) ", " (images) " validation images" }
            @for sweep in opened {
                @let own: Vec<&Configuration> = sweep.configurations.iter().filter(|c| sweep.datasets.get(c.dataset).is_some_and(|info| split_of(info) == split)).collect();
                @if !own.is_empty() {
                    (scroll(&format!("Configurations of {}", sweep.status.name), &html! {
                        table.picks {
                            caption { (sweep.status.name) @if sweep.is_adaptive { " (adaptive: its seeds were given out by results, so no p value holds)" } }
                            thead { tr { th scope="col" { "Configuration" } th scope="col" { "Reference" } th scope="col" .number { "Seeds" } } }
                            tbody { @for configuration in own.iter().take(LISTED) {
                                @let pick = Pick { sweep: sweep.status.id.clone(), configuration: configuration.id.clone() };
                                tr {
                                    th scope="row" { label { input type="checkbox" name="pick" value=(pick) checked[wanted.picks.contains(&pick)]; " " (configuration.label) } }
                                    td { input type="radio" name="reference" value=(pick) checked[wanted.reference.as_ref() == Some(&pick)] aria-label={ "Reference: " (configuration.label) " of " (sweep.status.name) }; }
                                    td.number { (configuration.runs.len()) }
                                }
                            } }
                        }
                    }))
                    @if own.len() > LISTED { p.quiet { "The first " (LISTED) " of " (own.len()) " configurations." } }
                }
            }
        }
    }
}
