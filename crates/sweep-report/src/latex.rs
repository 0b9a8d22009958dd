//! Tables for a paper: LaTeX with `booktabs`; per data set estimates and comparisons, what stands beside them, and what may be
//! said over data sets.

use crate::beside;
use crate::format;
use crate::grid::{self, Grid, MOST_ROWS};
use crate::phrases;
use crate::report::{DataSetReport, Family, Report, Summary};

/// All tables of the report, with the comment that says what they need.
pub fn tables(report: &Report) -> String {
    let mut out = format!("% {}: needs \\usepackage{{booktabs}}\n", one_line(&report.sweep.name));
    for note in &report.notes {
        out.push_str(&format!("% {}\n", one_line(&note.text)));
    }
    for dataset in &report.datasets {
        estimates(&mut out, report, dataset);
        comparisons(&mut out, report, dataset);
        beside::of_dataset(report, dataset).iter().for_each(|grid| table(&mut out, grid));
    }
    beside::over_datasets(report).iter().for_each(|grid| table(&mut out, grid));
    out
}

fn table(out: &mut String, grid: &Grid) {
    let caption = format!("{}. {}", grid.title, grid.caption);
    let align: String = grid.columns.iter().map(|c| if c.number { 'r' } else { 'l' }).collect();
    open(out, &caption, &format!("tab:{}", grid.name), &align);
    let heads: Vec<String> = grid.columns.iter().map(|c| escape(c.title)).collect();
    out.push_str(&format!("{} \\\\\n\\midrule\n", heads.join(" & ")));
    for cells in &grid.rows {
        let cells: Vec<String> = cells.iter().map(|c| escape(c)).collect();
        out.push_str(&format!("{} \\\\\n", cells.join(" & ")));
    }
    close(out, grid.left_out);
}

fn estimates(out: &mut String, report: &Report, dataset: &DataSetReport) {
    let conf = format::short(report.sweep.analysis.confidence * 100.0, 1);
    let crossed = format!("and the {conf} % crossed seeds × images interval on images like these.");
    let caption = format!(
        "{}: validation accuracy in percent on {} images. Mean over n seeds with the half-width of its {} on these images, {crossed}",
        dataset.name,
        dataset.n_val,
        phrases::t_interval(report)
    );
    accuracies(out, &caption, &format!("{}-accuracy", dataset.name), &dataset.summaries);
    if let Some(confirmation) = &dataset.confirmation {
        let caption = format!(
            "{}: validation accuracy in percent on {} images over confirmation seeds, never used for choosing. Mean over n seeds with the half-width of its {conf} % t interval on these images, {crossed}",
            dataset.name, dataset.n_val
        );
        let label = format!("{}-accuracy-confirmation", dataset.name);
        accuracies(out, &caption, &label, &confirmation.summaries);
    }
}

fn accuracies(out: &mut String, caption: &str, label: &str, summaries: &[Summary]) {
    open(out, caption, &format!("tab:{label}"), "lrll");
    out.push_str("configuration & $n$ & on these images & on images like these \\\\\n\\midrule\n");
    for s in summaries {
        out.push_str(&format!(
            "{} & {} & {} & {} \\\\\n",
            escape(&s.label),
            s.n,
            escape(&format::mean_with_half_width(s.mean, s.on_these)),
            escape(&format::percent_interval(s.beyond))
        ));
    }
    close(out, None);
}

fn comparisons(out: &mut String, report: &Report, dataset: &DataSetReport) {
    if let Some(family) = &dataset.family {
        let trace = phrases::trace_line(report, dataset).map(|line| format!(" {line}."));
        let caption = format!(
            "{}. Differences in percentage points.{}",
            phrases::dataset_line(report, dataset),
            trace.unwrap_or_default()
        );
        differences(out, &caption, &format!("{}-comparisons", dataset.name), dataset, family);
    }
    let confirmed = dataset.confirmation.as_ref().and_then(|c| c.family.as_ref());
    if let (Some(family), Some(line)) = (confirmed, phrases::confirmation_line(report, dataset)) {
        let caption = format!("{line}. Differences in percentage points.");
        let label = format!("{}-comparisons-confirmation", dataset.name);
        differences(out, &caption, &label, dataset, family);
    }
}

fn differences(
    out: &mut String,
    caption: &str,
    label: &str,
    dataset: &DataSetReport,
    family: &Family,
) {
    open(out, caption, &format!("tab:{label}"), "lrlrlrp{5cm}");
    out.push_str("configuration & difference & on these images & $p$ & on images like these & $p$ & verdict \\\\\n\\midrule\n");
    for c in family.comparisons.iter().take(MOST_ROWS) {
        let label = beside::comparison_label(c, family);
        let p = |p: Option<f64>| p.map_or_else(|| format::NONE.to_owned(), format::p_value);
        let cells = [
            label,
            c.estimate.map_or_else(|| format::NONE.to_owned(), format::points),
            format::points_interval(c.on_these.interval),
            p(c.on_these.p_adjusted),
            format::points_interval(c.beyond.interval),
            p(c.beyond.p_adjusted),
            phrases::verdict_cell(c, dataset),
        ];
        out.push_str(&format!("{} \\\\\n", cells.map(|c| escape(&c)).join(" & ")));
    }
    close(out, grid::left_out(family.comparisons.len(), "comparisons.csv"));
}

fn open(out: &mut String, caption: &str, label: &str, columns: &str) {
    out.push_str(&format!(
        "\n\\begin{{table}}\n\\centering\n\\caption{{{}}}\n\\label{{{label}}}\n\\begin{{tabular}}{{{columns}}}\n\\toprule\n",
        escape(caption)
    ));
}

fn close(out: &mut String, left_out: Option<(usize, &'static str)>) {
    out.push_str("\\bottomrule\n\\end{tabular}\n\\end{table}\n");
    if let Some(left_out) = left_out {
        out.push_str(&format!("% {}\n", grid::left_out_words(left_out)));
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// Text that LaTeX prints as it is; the few signs of this crate beyond ASCII in math mode.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '\\' => out.push_str("\\textbackslash{}"),
            '−' => out.push_str("$-$"),
            '±' => out.push_str("$\\pm$"),
            '×' => out.push_str("$\\times$"),
            '<' => out.push_str("$<$"),
            '>' => out.push_str("$>$"),
            '—' => out.push_str("---"),
            '–' => out.push_str("--"),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn labels_cannot_break_a_table() {
        assert_eq!(
            super::escape("am_softmax(m=0.2) & −1 % \\x"),
            "am\\_softmax(m=0.2) \\& $-$1 \\% \\textbackslash{}x"
        );
    }
}
