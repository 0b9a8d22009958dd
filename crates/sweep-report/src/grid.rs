//! A table as text in cells, so that every format prints the same one. What goes into it is in `beside`; how it looks is the
//! renderers'.

/// A table with its caption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// Part of a label or anchor: `digits-sensitivity`.
    pub(crate) name: String,
    /// A few words without a full stop, as a heading has them.
    pub(crate) title: String,
    /// What must be read with it; sentences.
    pub(crate) caption: String,
    /// Columns from left to right; the first names the row.
    pub(crate) columns: Vec<Column>,
    /// As many cells per row as columns.
    pub(crate) rows: Vec<Vec<String>>,
    /// Rows that were left out because nobody would read them, and the file that has them.
    pub(crate) left_out: Option<(usize, &'static str)>,
}

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// Aligned to the right.
    pub(crate) number: bool,
}

/// A column of words.
pub(crate) const fn words(title: &'static str) -> Column {
    Column { title, number: false }
}

/// A column of numbers.
pub(crate) const fn number(title: &'static str) -> Column {
    Column { title, number: true }
}

/// Rows of a table for people; the rest is in the CSV files and in `report.json`.
pub(crate) const MOST_ROWS: usize = 400;

/// "19500 more are in comparisons.csv"; `None` where everything is shown.
pub(crate) fn left_out(all: usize, file: &'static str) -> Option<(usize, &'static str)> {
    let rest = all.saturating_sub(MOST_ROWS);
    (rest > 0).then_some((rest, file))
}

/// The sentence for it.
pub(crate) fn left_out_words((rest, file): (usize, &str)) -> String {
    format!("{rest} more rows are in {file}")
}
