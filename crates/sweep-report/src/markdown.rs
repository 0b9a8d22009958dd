//! The report as Markdown: the same tables as the terminal, for issues and notes.

use crate::format::{self, NONE};
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
    for c in &family.comparisons {
        let label = if family.baseline.is_some() {
            cell(&c.b_label)
        } else {
            format!("{} − {}", cell(&c.b_label), cell(&c.a_label))
        };
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
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}
