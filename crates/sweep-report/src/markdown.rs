//! The report as Markdown: the same tables as the terminal, for issues and notes.

use crate::beside;
use crate::format::{self, NONE};
use crate::grid::{self, Grid, MOST_ROWS};
use crate::phrases;
use crate::report::{DataSetReport, Family, Report, Summary};

/// The whole report.
pub fn page(report: &Report) -> String {
    let mut out = format!("# {}\n\n", cell(&report.sweep.name));
    if !report.sweep.description.is_empty() {
        out.push_str(&format!("{}\n\n", report.sweep.description.trim()));
    }
    out.push_str(&format!("{}.\n\n", phrases::progress_line(report)));
    for note in &report.notes {
        out.push_str(&format!("> {}\n\n", note.text));
    }
    for dataset in &report.datasets {
        section(&mut out, report, dataset);
    }
    let over = beside::over_datasets(report);
    if !over.is_empty() {
        out.push_str("## Across data sets\n\n");
        over.iter().for_each(|grid| table(&mut out, grid));
    }
    if !report.failures.is_empty() {
        out.push_str("## Failed runs\n\n| run | data set | configuration | seed | error |\n| --- | --- | --- | --- | --- |\n");
        for f in &report.failures {
            let error = f.error.as_deref().unwrap_or("no message");
            out.push_str(&format!(
                "| {} | {} | {} | {} | {} |\n",
                f.run,
                cell(&f.dataset),
                cell(&f.label),
                f.seed,
                cell(error)
            ));
        }
        out.push('\n');
    }
    out.push_str(&format!(
        "Sweep {}, analysis {}, sweep {}.\n",
        report.sweep.id, report.sweep.analysis_digest, report.sweep.version
    ));
    out
}

fn section(out: &mut String, report: &Report, dataset: &DataSetReport) {
    out.push_str(&format!(
        "## {}\n\n{}.\n\n",
        cell(&dataset.name),
        phrases::dataset_line(report, dataset)
    ));
    for note in &dataset.notes {
        out.push_str(&format!("> {}\n\n", note.text));
    }
    summaries(out, &dataset.summaries);
    if let Some(family) = &dataset.family {
        comparisons(out, dataset, family);
    }
    if let Some(line) = phrases::best_set_line(dataset) {
        out.push_str(&format!("{line}.\n\n"));
    }
    if let Some(line) = phrases::trace_line(report, dataset) {
        out.push_str(&format!("{line}.\n\n"));
    }
    if let Some(confirmation) = &dataset.confirmation {
        out.push_str("### Confirmation seeds\n\n");
        if let Some(line) = phrases::confirmation_line(report, dataset) {
            out.push_str(&format!("{line}.\n\n"));
        }
        summaries(out, &confirmation.summaries);
        if let Some(family) = &confirmation.family {
            comparisons(out, dataset, family);
        }
    }
    beside::of_dataset(report, dataset).iter().for_each(|grid| table(out, grid));
}

fn table(out: &mut String, grid: &Grid) {
    out.push_str(&format!("### {}\n\n{}\n\n", cell(&grid.title), grid.caption));
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    out.push_str(&row(grid.columns.iter().map(|c| cell(c.title)).collect()));
    let rule = |number: bool| if number { "---:" } else { "---" }.to_owned();
    out.push_str(&row(grid.columns.iter().map(|c| rule(c.number)).collect()));
    for cells in &grid.rows {
        out.push_str(&row(cells.iter().map(|c| cell(c)).collect()));
    }
    out.push('\n');
    rest(out, grid.left_out);
}

fn rest(out: &mut String, left_out: Option<(usize, &'static str)>) {
    if let Some(left_out) = left_out {
        out.push_str(&format!("{}.\n\n", grid::left_out_words(left_out)));
    }
}

fn summaries(out: &mut String, summaries: &[Summary]) {
    out.push_str("| configuration | n | mean %, on these images | on images like these | state |\n| --- | ---: | ---: | ---: | --- |\n");
    for s in summaries {
        out.push_str(&format!(
            "| {} | {}/{} | {} | {} | {} |\n",
            cell(&s.label),
            s.n,
            s.planned,
            format::mean_with_half_width(s.mean, s.on_these),
            format::percent_interval(s.beyond),
            phrases::state_words(s)
        ));
    }
    out.push('\n');
}

fn comparisons(out: &mut String, dataset: &DataSetReport, family: &Family) {
    out.push_str("| configuration | difference, pp | on these images | p | on images like these | p | verdict |\n| --- | ---: | ---: | ---: | ---: | ---: | --- |\n");
    for c in family.comparisons.iter().take(MOST_ROWS) {
        let label = cell(&beside::comparison_label(c, family));
        let p = |p: Option<f64>| p.map_or_else(|| NONE.to_owned(), format::p_value);
        out.push_str(&format!(
            "| {label} | {} | {} | {} | {} | {} | {} |\n",
            c.estimate.map_or_else(|| NONE.to_owned(), format::points),
            format::points_interval(c.on_these.interval),
            p(c.on_these.p_adjusted),
            format::points_interval(c.beyond.interval),
            p(c.beyond.p_adjusted),
            cell(&phrases::verdict_cell(c, dataset))
        ));
    }
    out.push('\n');
    rest(out, grid::left_out(family.comparisons.len(), "comparisons.csv"));
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}
