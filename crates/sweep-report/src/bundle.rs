//! All files of a report folder, as names and bytes; writing them is the caller's.

use crate::input::Input;
use crate::{analyse, csv, html, latex, markdown, plot};

/// One file of a report folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutFile {
    /// Relative path with `/`.
    pub path: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Everything `sweep report -o DIR` writes: `index.html`, `report.json`, `report.md`, `tables.tex`, four CSV files and those of
/// looks and of several data sets where there are such, `figures/*.svg`.
pub fn bundle(input: &Input<'_>) -> Vec<OutFile> {
    let report = analyse(input);
    let figures = plot::figures(&report);
    let texts = [
        ("index.html", html::page_with(&report, &figures)),
        ("report.json", report.json()),
        ("report.md", markdown::page(&report)),
        ("tables.tex", latex::tables(&report)),
        ("runs.csv", csv::runs(&report)),
        ("epochs.csv", csv::epochs(input)),
        ("summaries.csv", csv::summaries(&report)),
        ("comparisons.csv", csv::comparisons(&report)),
    ];
    let where_allowed = [
        ("adaptive.csv", csv::adaptive(&report)),
        ("across.csv", csv::across(&report)),
        ("ranks.csv", csv::ranks(&report)),
        ("rank_pairs.csv", csv::rank_pairs(&report)),
    ];
    let mut out: Vec<OutFile> = texts
        .into_iter()
        .chain(where_allowed.into_iter().filter_map(|(path, text)| Some((path, text?))))
        .map(|(path, text)| OutFile { path: path.to_owned(), bytes: text.into_bytes() })
        .collect();
    out.extend(
        figures.iter().map(|f| OutFile {
            path: format!("figures/{}.svg", f.name),
            bytes: f.svg().into_bytes(),
        }),
    );
    out
}
