//! The report for a terminal: text that fits a width, coloured only when asked. Whoever prints it knows the terminal.

use crate::beside;
use crate::format::{self, NONE};
use crate::grid::{self, Grid, MOST_ROWS};
use crate::phrases;
use crate::report::{Comparison, DataSetReport, Family, HeadlineKind, Report, Summary};

/// How text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns; below 40 counts as 40.
    pub width: usize,
    /// Whether ANSI colours are written.
    pub colour: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { width: 120, colour: false }
    }
}

impl Style {
    pub(crate) fn width(self) -> usize {
        self.width.max(40)
    }

    fn paint(self, text: &str, code: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn dim(self, text: &str) -> String {
        self.paint(text, "2")
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint(text, "1")
    }

    fn verdict(self, kind: HeadlineKind, text: &str) -> String {
        match kind {
            HeadlineKind::Better => self.paint(text, "1;32"),
            HeadlineKind::BetterQualified => self.paint(text, "32"),
            HeadlineKind::Worse => self.paint(text, "1;31"),
            HeadlineKind::WorseQualified => self.paint(text, "31"),
            HeadlineKind::Equivalent => self.paint(text, "36"),
            HeadlineKind::Untestable | HeadlineKind::Unresolved => self.paint(text, "33"),
        }
    }
}

/// Verdicts against the baseline, or of all pairs, per data set; the best set; what must be read beside them.
pub fn comparison(report: &Report, style: Style) -> String {
    let mut out = String::new();
    for note in &report.notes {
        push_wrapped(&mut out, &format!("! {}", note.text), " ", "   ", style.width());
    }
    for dataset in &report.datasets {
        if !out.is_empty() {
            out.push('\n');
        }
        push_wrapped_with(
            &mut out,
            &phrases::dataset_line(report, dataset),
            " ",
            "   ",
            style.width(),
            |line| style.bold(line),
        );
        match &dataset.family {
            Some(family) if !family.comparisons.is_empty() => {
                compared(&mut out, dataset, family, style);
            }
            _ => estimates(&mut out, &dataset.summaries, style),
        }
        if let Some(line) = phrases::best_set_line(dataset) {
            push_wrapped(&mut out, &line, " ", "   ", style.width());
        }
        if let Some(line) = phrases::trace_line(report, dataset) {
            push_wrapped(&mut out, &line, " ", "   ", style.width());
        }
        confirmation(&mut out, report, dataset, style);
        for note in &dataset.notes {
            push_wrapped_with(
                &mut out,
                &format!("! {}", note.text),
                " ",
                "   ",
                style.width(),
                |line| style.dim(line),
            );
        }
    }
    for grid in beside::over_datasets(report) {
        out.push('\n');
        table_of(&mut out, &grid, style);
    }
    out
}

/// What stands beside the verdicts: other tests, effect sizes, where the uncertainty comes from, the looks of an adaptive rule.
pub fn details(report: &Report, style: Style) -> String {
    let mut out = String::new();
    for grid in report.datasets.iter().flat_map(|d| beside::of_dataset(report, d)) {
        if !out.is_empty() {
            out.push('\n');
        }
        table_of(&mut out, &grid, style);
    }
    out
}

/// Columns side by side where the width allows it, else each row as a block of named values.
fn table_of(out: &mut String, grid: &Grid, style: Style) {
    let width = style.width();
    push_wrapped_with(out, &grid.title, " ", "   ", width, |line| style.bold(line));
    let longest = |i: usize| {
        let cells = grid.rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
        let limit = if i == 0 { label_limit(width) } else { usize::MAX };
        cells.max(grid.columns[i].title.chars().count()).min(limit)
    };
    let widths: Vec<usize> = (0..grid.columns.len()).map(longest).collect();
    let align = |i: usize, text: &str| {
        let text = fit(text, widths[i].max(text.chars().count() * usize::from(i > 0)));
        if grid.columns[i].number { pad_left(text.trim_end(), widths[i]) } else { text }
    };
    if widths.iter().map(|w| w + 2).sum::<usize>() < width {
        let line = |cells: Vec<String>| format!("   {}", cells.join("  ")).trim_end().to_owned();
        let heads = grid.columns.iter().enumerate().map(|(i, c)| align(i, c.title));
        out.push_str(&format!("{}\n", style.dim(&line(heads.collect()))));
        for row in &grid.rows {
            let cells = row.iter().enumerate().map(|(i, cell)| align(i, cell));
            out.push_str(&format!("{}\n", line(cells.collect())));
        }
    } else {
        for row in &grid.rows {
            out.push_str(&format!("   {}\n", fit(&row[0], width - 3).trim_end()));
            let named = grid.columns.iter().zip(row).skip(1);
            let named: Vec<String> = named.map(|(c, cell)| format!("{} {cell}", c.title)).collect();
            push_wrapped(out, &named.join(" · "), "     ", "     ", width);
        }
    }
    if let Some(left_out) = grid.left_out {
        push_wrapped(out, &grid::left_out_words(left_out), "   ", "   ", width);
    }
    push_wrapped_with(out, &grid.caption, " ", "   ", width, |line| style.dim(line));
}

/// What is left on confirmation seeds: its comparisons, or the estimate of one that is alone.
fn confirmation(out: &mut String, report: &Report, dataset: &DataSetReport, style: Style) {
    let Some(confirmation) = &dataset.confirmation else { return };
    let line = phrases::confirmation_line(report, dataset);
    let line = line.unwrap_or_else(|| format!("{}, confirmation of what is left", dataset.name));
    push_wrapped_with(out, &line, " ", "   ", style.width(), |line| style.bold(line));
    match &confirmation.family {
        Some(family) => compared(out, dataset, family, style),
        None => estimates(out, &confirmation.summaries, style),
    }
}

/// One line per configuration: seeds done, mean with the half-width of its E1 interval, the median validation accuracy by epoch.
pub fn summary(report: &Report, style: Style) -> String {
    let mut out = String::new();
    for dataset in &report.datasets {
        if report.datasets.len() > 1 {
            out.push_str(&format!(" {}\n", style.bold(&dataset.name)));
        }
        let label_width = dataset
            .summaries
            .iter()
            .map(|s| s.label.chars().count())
            .max()
            .unwrap_or(0)
            .min(label_limit(style.width()));
        for s in &dataset.summaries {
            let curve: Vec<f64> = dataset
                .curves
                .iter()
                .find(|c| c.candidate == s.candidate)
                .map(|c| c.val_accuracy.iter().map(|b| b.median).collect())
                .unwrap_or_default();
            let line = format!(
                " {}  {:>5}  {:>12} %  {}  {}",
                fit(&s.label, label_width),
                format!("{}/{}", s.n, s.planned),
                format::mean_with_half_width(s.mean, s.on_these),
                sparkline(&curve, 0.0, 1.0),
                style.paint(&phrases::state_words(s), "33")
            );
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out
}

/// Counts by state and the failures with their first line.
pub fn status(report: &Report, style: Style) -> String {
    let mut out = format!(" {}\n", phrases::progress_line(report));
    for failure in &report.failures {
        let error = failure.error.as_deref().unwrap_or("no message");
        let line =
            format!("✗ {} {} seed {}: {error}", failure.dataset, failure.label, failure.seed);
        push_wrapped_with(&mut out, &line, " ", "   ", style.width(), |line| {
            style.paint(line, "31")
        });
    }
    out
}

/// A line of eight block heights, at most 12 characters (several epochs per character beyond); empty without values.
pub fn sparkline(values: &[f64], low: f64, high: f64) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const LONGEST: usize = 12;
    let columns = values.len().min(LONGEST);
    let span = if high > low { high - low } else { 1.0 };
    (0..columns)
        .map(|i| {
            let last = (i + 1) * values.len() / columns - 1;
            let level = ((values[last] - low) / span * 8.0).floor();
            BLOCKS[if level.is_finite() { level.clamp(0.0, 7.0) as usize } else { 0 }]
        })
        .collect()
}

struct Row {
    label: String,
    on_these: [String; 3],
    beyond: [String; 2],
    verdict: String,
    kind: HeadlineKind,
}

fn compared(out: &mut String, dataset: &DataSetReport, family: &Family, style: Style) {
    let shown = family.comparisons.iter().take(MOST_ROWS);
    let rows: Vec<_> = shown.map(|c| row(c, dataset, family)).collect();
    table(out, &rows, style);
    if let Some(left_out) = grid::left_out(family.comparisons.len(), "comparisons.csv") {
        push_wrapped(out, &grid::left_out_words(left_out), "   ", "   ", style.width());
    }
}

fn row(c: &Comparison, dataset: &DataSetReport, family: &Family) -> Row {
    let label = beside::comparison_label(c, family);
    let estimate =
        c.estimate.map_or_else(|| NONE.to_owned(), |e| format!("{} pp", format::points(e)));
    Row {
        label,
        on_these: [
            estimate,
            format::points_interval(c.on_these.interval),
            format::p_label(c.on_these.p_adjusted),
        ],
        beyond: [format::points_interval(c.beyond.interval), format::p_label(c.beyond.p_adjusted)],
        verdict: phrases::verdict_cell(c, dataset),
        kind: c.headline.as_ref().map_or(HeadlineKind::Unresolved, |h| h.kind),
    }
}

/// Widths of the columns of a comparison table.
struct Columns {
    label: usize,
    on_these: [usize; 3],
    beyond: [usize; 2],
    /// Of both groups, headings included.
    groups: (usize, usize),
}

/// How a table uses a width.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// One line per comparison.
    Line,
    /// The label on a line of its own.
    Stacked,
    /// Label and each estimand on lines of their own.
    Split,
}

const HEADS: (&str, &str) = ("on these images", "on images like these");

impl Columns {
    fn of(rows: &[Row], style: Style) -> Self {
        let longest =
            |f: &dyn Fn(&Row) -> &str| rows.iter().map(|r| f(r).chars().count()).max().unwrap_or(0);
        let on_these = std::array::from_fn(|i| longest(&|r| &r.on_these[i]));
        let beyond = std::array::from_fn(|i| longest(&|r| &r.beyond[i]));
        let wide = |sum: usize, head: &str| sum.max(head.chars().count());
        Self {
            label: longest(&|r| &r.label).min(label_limit(style.width())),
            groups: (
                wide(on_these.iter().sum::<usize>() + 3, HEADS.0),
                wide(beyond.iter().sum::<usize>() + 2, HEADS.1),
            ),
            on_these,
            beyond,
        }
    }

    fn layout(&self, style: Style) -> Layout {
        let numbers = self.groups.0 + 3 + self.groups.1;
        match style.width() {
            width if 3 + self.label + 2 + numbers <= width => Layout::Line,
            width if 5 + numbers <= width => Layout::Stacked,
            _ => Layout::Split,
        }
    }

    fn on_these(&self, row: &Row) -> String {
        let [difference, interval, p] = &row.on_these;
        let [w0, w1, w2] = self.on_these;
        pad(
            &format!("{} {}  {}", pad_left(difference, w0), pad(interval, w1), pad(p, w2)),
            self.groups.0,
        )
    }

    fn beyond(&self, row: &Row) -> String {
        let [interval, p] = &row.beyond;
        let [w0, w1] = self.beyond;
        pad(&format!("{}  {}", pad(interval, w0), pad(p, w1)), self.groups.1)
    }
}

fn table(out: &mut String, rows: &[Row], style: Style) {
    let columns = Columns::of(rows, style);
    let layout = columns.layout(style);
    let indent = if layout == Layout::Line { 3 + columns.label + 2 } else { 5 };
    if layout != Layout::Split {
        let head = style.dim(&pad(HEADS.0, columns.groups.0));
        out.push_str(&format!("{}{head}   {}\n", " ".repeat(indent), style.dim(HEADS.1)));
    }
    for row in rows {
        let (left, right) = (columns.on_these(row), columns.beyond(row));
        let label = match layout {
            Layout::Line => format!("   {}  ", fit(&row.label, columns.label)),
            _ => format!("   {}\n     ", fit(&row.label, style.width() - 3).trim_end()),
        };
        let after = indent + columns.groups.0 + 3 + columns.groups.1 + 3;
        // A verdict that does not fit beside the numbers goes below them.
        if layout != Layout::Split && after + row.verdict.chars().count() <= style.width() {
            let verdict = style.verdict(row.kind, &row.verdict);
            out.push_str(&format!("{label}{left}   {right}   {verdict}\n"));
            continue;
        }
        if layout == Layout::Split {
            let shift = " ".repeat(columns.on_these[0] + 1);
            out.push_str(&format!(
                "{label}{}  {}\n",
                style.dim("on these images"),
                left.trim_end()
            ));
            out.push_str(&format!(
                "     {}  {shift}{}\n",
                style.dim("beyond them    "),
                right.trim_end()
            ));
        } else {
            out.push_str(format!("{label}{left}   {right}").trim_end());
            out.push('\n');
        }
        let indent = " ".repeat(indent.min(9));
        let (first, rest) = (format!("{indent}→ "), format!("{indent}  "));
        push_wrapped_with(out, &row.verdict, &first, &rest, style.width(), |line| {
            style.verdict(row.kind, line)
        });
    }
}

/// Where nothing is compared: each configuration's own intervals.
fn estimates(out: &mut String, summaries: &[Summary], style: Style) {
    let label = summaries
        .iter()
        .map(|s| s.label.chars().count())
        .max()
        .unwrap_or(0)
        .min(label_limit(style.width()));
    for s in summaries {
        let line = format!("   {}  {}", fit(&s.label, label), estimate_words(s));
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

fn estimate_words(s: &Summary) -> String {
    format!(
        "{:>5}  {:>12} %  beyond these images {}  {}",
        format!("{}/{}", s.n, s.planned),
        format::mean_with_half_width(s.mean, s.on_these),
        format::percent_interval(s.beyond),
        phrases::state_words(s)
    )
}

fn label_limit(width: usize) -> usize {
    (width / 3).clamp(16, 60)
}

fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    format!("{text}{}", " ".repeat(missing))
}

fn pad_left(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.chars().count());
    format!("{}{text}", " ".repeat(missing))
}

/// Exactly `width` characters, shortened with `…`.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return pad(text, width);
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

pub(crate) fn push_wrapped(out: &mut String, text: &str, first: &str, rest: &str, width: usize) {
    push_wrapped_with(out, text, first, rest, width, str::to_owned);
}

pub(crate) fn push_wrapped_with(
    out: &mut String,
    text: &str,
    first: &str,
    rest: &str,
    width: usize,
    paint: impl Fn(&str) -> String,
) {
    let mut line = String::new();
    let mut indent = first;
    for word in text.split_whitespace() {
        let needed = indent.chars().count() + line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && needed > width {
            out.push_str(&format!("{indent}{}\n", paint(&line)));
            line.clear();
            indent = rest;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        out.push_str(&format!("{indent}{}\n", paint(&line)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_shows_the_last_epoch_of_each_stretch() {
        assert_eq!(sparkline(&[0.0, 0.5, 1.0], 0.0, 1.0), "▁▅█");
        assert_eq!(sparkline(&[], 0.0, 1.0), "");
        let long: Vec<f64> = (1..=24).map(|i| f64::from(i) / 24.0).collect();
        assert_eq!(sparkline(&long, 0.0, 1.0).chars().count(), 12);
        assert_eq!(sparkline(&[f64::NAN], 0.0, 1.0), "▁");
    }

    #[test]
    fn wrapped_text_keeps_its_words_and_its_width() {
        let mut out = String::new();
        push_wrapped(&mut out, "one two three four", " ", "   ", 12);
        assert_eq!(out, " one two\n   three\n   four\n");
    }
}
