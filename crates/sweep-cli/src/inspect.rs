//! `sweep list`, `status`, `runs`, `curves`, `logs`: what the store says, as it is.

use anyhow::{Context, Result};
use console::measure_text_width;
use serde_json::json;
use sweep_core::lifecycle::StateName;
use sweep_core::record::RunRecord;
use sweep_core::result::EpochMetrics;
use sweep_report::terminal;
use sweep_store::{Reads, RunDetail, SweepStatus};

use crate::args::{CurvesArgs, Global, JsonArgs, OptionalSweepArgs, RunsArgs};
use crate::exit::{Ended, WrongInput};
use crate::source::{Source, find};
use crate::{out, stored};

pub(crate) fn list(args: &JsonArgs, global: &Global) -> Result<Ended> {
    let store = Source::to_read(global)?;
    let sweeps = stored::block_on(async { Ok(store.sweeps().await?) })?;
    if args.json {
        out::json(&sweeps)?;
    } else {
        let rows = sweeps.iter().map(|sweep| {
            let counts = &sweep.counts;
            let failed =
                if counts.failed > 0 { format!("{} failed", counts.failed) } else { String::new() };
            vec![
                sweep.name.clone(),
                sweep.id.to_string(),
                word(sweep).to_owned(),
                format!("{}/{}", counts.succeeded, counts.total()),
                failed,
            ]
        });
        out::text(&table(&["NAME", "ID", "STATE", "DONE", ""], rows.collect()))?;
    }
    Ok(Ended::Done)
}

/// One word for how far a sweep is.
fn word(sweep: &SweepStatus) -> &'static str {
    if sweep.is_done() { "done" } else { sweep.state.as_str() }
}

pub(crate) fn status(args: &OptionalSweepArgs, global: &Global) -> Result<Ended> {
    let store = Source::to_read(global)?;
    stored::block_on(async {
        let status = find(&store, args.sweep.as_deref()).await?;
        if args.json {
            return out::json(&status);
        }
        let view = coordinator::View::read(&store, &status.id).await?;
        let report = view.report();
        out::text(&terminal::status(&report, out::style()))?;
        out::text(&terminal::summary(&report, out::style()))
    })?;
    Ok(Ended::Done)
}

pub(crate) fn runs(args: &RunsArgs, global: &Global) -> Result<Ended> {
    let store = Source::to_read(global)?;
    let (view, records) = stored::block_on(async {
        let status = find(&store, Some(&args.sweep)).await?;
        let view = coordinator::View::read(&store, &status.id).await?;
        let wanted = args.state.map(StateName::from);
        let records: Vec<RunRecord> = view
            .records
            .iter()
            .filter(|r| wanted.is_none_or(|state| r.state == state))
            .cloned()
            .collect();
        Ok((view, records))
    })?;
    if args.json {
        out::json(&records)?;
        return Ok(Ended::Done);
    }
    let label = |record: &RunRecord| {
        let id = record.run.spec.configuration.id();
        let planned =
            view.plan.configurations.iter().find(|planned| planned.configuration.id() == id);
        planned.map_or_else(
            || record.run.spec.configuration.loss.canonical(),
            |p| view.sweep.candidates()[p.candidate].label.clone(),
        )
    };
    let rows = records.iter().map(|record| {
        let outcome = match (&record.result, &record.error) {
            (Some(result), _) => result.validation.as_ref().map_or_else(
                || "diverged".to_owned(),
                |v| format!("{:.2} %", 100.0 * v.accuracy()),
            ),
            (None, Some(error)) => error.lines().next().unwrap_or_default().to_owned(),
            (None, None) => String::new(),
        };
        let spec = &record.run.spec;
        vec![
            record.run.id.to_string(),
            spec.configuration.dataset.name.clone(),
            label(record),
            spec.seed.to_string(),
            record.state.to_string(),
            record.attempts.to_string(),
            outcome,
        ]
    });
    out::text(&table(
        &["RUN", "DATA SET", "CONFIGURATION", "SEED", "STATE", "ATTEMPTS", "VAL ACCURACY"],
        rows.collect(),
    ))?;
    Ok(Ended::Done)
}

pub(crate) fn curves(args: &CurvesArgs, global: &Global) -> Result<Ended> {
    let (detail, epochs) = run(&args.run, global)?;
    if args.json {
        out::json(&json!({ "run": detail.id, "spec": detail.spec, "epochs": epochs }))?;
        return Ok(Ended::Done);
    }
    let loss =
        |value: Option<f64>| value.map_or_else(|| "not finite".to_owned(), |v| format!("{v:.4}"));
    let rows = epochs.iter().map(|e| {
        vec![
            e.epoch.to_string(),
            loss(e.train_loss),
            loss(e.val_loss),
            format!("{:.2} %", 100.0 * e.train_accuracy),
            format!("{:.2} %", 100.0 * e.val_accuracy),
            format!("{:.2e}", e.learning_rate),
        ]
    });
    out::text(&table(
        &["EPOCH", "TRAIN LOSS", "VAL LOSS", "TRAIN ACCURACY", "VAL ACCURACY", "LEARNING RATE"],
        rows.collect(),
    ))?;
    let accuracies: Vec<f64> = epochs.iter().map(|e| e.val_accuracy).collect();
    out::text(&format!("val accuracy {}\n", terminal::sparkline(&accuracies, 0.0, 1.0)))?;
    Ok(Ended::Done)
}

pub(crate) fn logs(args: &CurvesArgs, global: &Global) -> Result<Ended> {
    let (detail, _) = run(&args.run, global)?;
    if args.json {
        out::json(&detail.attempts)?;
        return Ok(Ended::Done);
    }
    for attempt in &detail.attempts {
        out::text(&attempt.log)?;
    }
    Ok(Ended::Done)
}

/// A run and its epochs: of the result, else of the attempt in hand.
fn run(text: &str, global: &Global) -> Result<(RunDetail, Vec<EpochMetrics>)> {
    let store = Source::to_read(global)?;
    stored::block_on(async {
        let id = coordinator::find_run(&store, text).await.map_err(|error| match error {
            coordinator::FindError::Store(error) => error.into(),
            _ => WrongInput::error(error),
        })?;
        let detail = store.run(&id).await?.context("the run has vanished")?;
        let epochs = match (&detail.result, &detail.progress) {
            (Some(result), _) => result.epochs.clone(),
            (None, Some(progress)) => progress.epochs.clone(),
            (None, None) => Vec::new(),
        };
        Ok((detail, epochs))
    })
}

/// Columns as wide as their widest cell, two spaces apart; no spaces at line ends.
pub(crate) fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let mut widths: Vec<usize> = head.iter().map(|cell| measure_text_width(cell)).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(measure_text_width(cell));
        }
    }
    let mut text = String::new();
    for row in std::iter::once(&head).chain(&rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width - measure_text_width(cell) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_by_what_is_seen() {
        let text = table(
            &["A", "B"],
            vec![vec!["±1".into(), "x".into()], vec!["long".into(), String::new()]],
        );
        assert_eq!(text, "A     B\n±1    x\nlong\n");
    }
}
