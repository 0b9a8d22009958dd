//! `sweep plan`: what would run, before anything does.

use anyhow::Result;
use serde_json::json;
use sweep_core::lifecycle::StateName;
use sweep_core::record::RunRecord;
use sweep_core::sweep::{Plan, Sweep};
use sweep_report::planning;
use sweep_store::Reads;

use crate::args::{Global, PlanArgs};
use crate::exit::Ended;
use crate::inspect::table;
use crate::source::Source;
use crate::{load, out, stored};

pub(crate) fn plan(args: &PlanArgs, global: &Global) -> Result<Ended> {
    let loaded = load::load(&args.file)?;
    let (sweep, plan) = (&loaded.sweep, &loaded.plan);
    if args.defaults {
        out::text(&sweep.canonical_yaml())?;
        return Ok(Ended::Done);
    }
    let (known, records) = known(plan, global)?;
    let resolutions = planning::resolutions(sweep, plan, &records);
    if args.json {
        out::json(&json!({
            "name": sweep.name(),
            "id": sweep.id(plan),
            "configurations": plan.configurations.iter().map(|p| json!({
                "dataset": plan.datasets[p.dataset].name,
                "label": sweep.candidates()[p.candidate].label,
                "id": p.configuration.id(),
                "configuration": p.configuration,
            })).collect::<Vec<_>>(),
            "seeds": sweep.seeds(),
            "runs": { "total": plan.runs.len(), "known": known, "new": plan.runs.len() - known },
            "resolution": resolutions,
            "warnings": plan.warnings,
        }))?;
    } else {
        out::text(&text(sweep, plan, known))?;
        out::text(&planning::text(&resolutions, sweep.analysis().alpha))?;
        for warning in &plan.warnings {
            out::text(&format!("warning: {warning}\n"))?;
        }
    }
    Ok(Ended::Done)
}

/// What the store already knows: how many runs of the plan have a result, and every record on its splits; nothing when there is
/// no store yet.
fn known(plan: &Plan, global: &Global) -> Result<(usize, Vec<RunRecord>)> {
    let Ok(store) = Source::to_read(global) else { return Ok((0, Vec::new())) };
    let ids: Vec<_> = plan.runs.iter().map(|run| run.id.clone()).collect();
    stored::block_on(async {
        let states = store.states(&ids).await?;
        let mut records = Vec::new();
        for sweep in store.sweeps().await? {
            records.extend(store.results(&sweep.id).await?);
        }
        Ok((states.iter().filter(|s| **s == Some(StateName::Succeeded)).count(), records))
    })
}

fn text(sweep: &Sweep, plan: &Plan, known: usize) -> String {
    let mut text = format!(
        "{}: {} configurations × {} seeds = {} runs, {} of them known, {} new\n",
        sweep.name(),
        plan.configurations.len(),
        sweep.seeds().len(),
        plan.runs.len(),
        known,
        plan.runs.len() - known
    );
    if let Some(adaptive) = sweep.adaptive() {
        text.push_str(&format!(
            "adaptive: these are the runs of the first look; at most {} runs if nothing is dropped\n",
            plan.configurations.len() as u64 * adaptive.most_seeds()
        ));
    }
    for set in &plan.datasets {
        text.push_str(&format!(
            "data set {}: {} classes, {} training and {} validation images; one validation image is {:.2} pp\n",
            set.name,
            set.class_count(),
            set.train_count(),
            set.val_count(),
            100.0 / f64::from(set.val_count().max(1))
        ));
        for warning in &set.warnings {
            text.push_str(&format!("  warning: {warning}\n"));
        }
    }
    let rows = plan.configurations.iter().map(|planned| {
        let training = &planned.configuration.training;
        vec![
            plan.datasets[planned.dataset].name.clone(),
            sweep.candidates()[planned.candidate].label.clone(),
            training.epochs.to_string(),
            training.batch_size.to_string(),
            training.image_size.to_string(),
            training.optimizer.learning_rate().to_string(),
            planned.configuration.id().to_string(),
        ]
    });
    text.push_str(&table(
        &["DATA SET", "CONFIGURATION", "EPOCHS", "BATCH", "SIZE", "RATE", "ID"],
        rows.collect(),
    ));
    text
}
