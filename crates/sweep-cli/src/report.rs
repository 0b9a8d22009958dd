//! `sweep compare`, `report` and `export`: a stored sweep as verdicts, files and tables.

use std::path::Path;

use anyhow::{Context, Result};
use coordinator::View;
use sweep_report::{table, terminal};
use sweep_store::Command;

use crate::args::{CompareArgs, ExportArgs, Format, Global, ReportArgs};
use crate::exit::{Ended, WrongInput};
use crate::home::Home;
use crate::source::{Source, find};
use crate::{load, out, stored};

pub(crate) fn compare(args: &CompareArgs, global: &Global) -> Result<Ended> {
    let view = view(&args.sweep, global, Look::Yes)?;
    let report = view.report();
    if args.json {
        out::text(&report.json())?;
    } else {
        out::text(&terminal::comparison(&report, out::style()))?;
        if args.details {
            out::text(&terminal::details(&report, out::style()))?;
        }
    }
    Ok(Ended::Done)
}

pub(crate) fn report(args: &ReportArgs, global: &Global) -> Result<Ended> {
    match (&args.from_table, &args.sweep) {
        (Some(file), _) => published(file, args.json),
        (None, Some(sweep)) => stored_sweep(sweep, args, global),
        (None, None) => Err(WrongInput::error("name a sweep, or a table with --from-table")),
    }
}

fn stored_sweep(sweep: &str, args: &ReportArgs, global: &Global) -> Result<Ended> {
    let view = view(sweep, global, Look::Yes)?;
    let dir = args.output.clone().unwrap_or_else(|| Home::new(global).report(view.sweep.name()));
    write(&view, &dir)?;
    if args.json {
        out::text(&view.report().json())?;
    } else {
        out::text(&format!("report: {}\n", dir.join("index.html").display()))?;
    }
    Ok(Ended::Done)
}

/// What a published table of single runs supports.
fn published(file: &Path, as_json: bool) -> Result<Ended> {
    let text = load::text(file)?;
    let table = table::parse(&text, &file.display().to_string()).map_err(WrongInput::error)?;
    let report = table::analyse(&table);
    if as_json {
        out::json(&report)?;
    } else {
        out::text(&table::text(&report, out::style()))?;
    }
    Ok(Ended::Done)
}

pub(crate) fn export(args: &ExportArgs, global: &Global) -> Result<Ended> {
    let view = view(&args.sweep, global, Look::No)?;
    match (args.format, args.epochs) {
        (Format::Csv, false) => out::text(&sweep_report::csv::runs(&view.report()))?,
        (Format::Csv, true) => out::text(&sweep_report::csv::epochs(&view.input()))?,
        (Format::Json, _) => out::json(&view.records)?,
    }
    Ok(Ended::Done)
}

/// Writes every file of the report.
pub(crate) fn write(view: &View, dir: &Path) -> Result<()> {
    coordinator::written::write(dir, &view.bundle()).context("cannot write the report")
}

/// Records that verdicts were shown: seeds added afterwards are marked in later reports.
pub(crate) async fn record_look(source: &Source, view: &View) {
    if let Err(error) = source.control(&Command::Reported(view.status.id.clone())).await {
        tracing::warn!("could not record that the report was looked at: {error:#}");
    }
}

/// Whether reading is a look at verdicts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Yes,
    No,
}

fn view(sweep: &str, global: &Global, look: Look) -> Result<View> {
    stored::block_on(async {
        let source = Source::to_read(global)?;
        let status = find(&source, Some(sweep)).await?;
        let view = View::read(&source, &status.id).await?;
        if look == Look::Yes {
            looked_at(&view, global).await;
        }
        Ok(view)
    })
}

/// As [`record_look`], for commands that read.
pub(crate) async fn looked_at(view: &View, global: &Global) {
    match Source::to_change(global) {
        Ok(source) => record_look(&source, view).await,
        Err(error) => {
            tracing::warn!("could not record that the report was looked at: {error:#}")
        }
    }
}
