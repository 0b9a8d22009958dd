//! Figures as plain SVG: no script, fixed number formats, the same bytes for the same report, readable in light and dark.
//!
//! Each figure names its n, interval, estimand and test in its caption; colours are Okabe and Ito's, told apart by colour-blind
//! readers, and never the only carrier of a meaning. Numbers come from the [`Report`]; nothing is computed here but positions.

mod curves;
mod differences;
mod heatmap;
mod interval;
mod overlay;
mod parallel;
mod ranks;
mod run;
pub(crate) mod svg;
mod trace;
mod variance;

use crate::report::Report;
pub use heatmap::{HeatMapChoice, HeatMapMetric, axes, heat_maps};
pub use overlay::{OverlayMetric, overlay};
pub use parallel::parallel;
pub use run::of_run;
pub use svg::STYLE;

/// One figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// File name without ending, `[a-z0-9_-]+`, unique in a report.
    pub name: String,
    /// Data set it belongs to, as index into [`Report::datasets`]; `None` for figures over all of them.
    pub dataset: Option<usize>,
    /// Which kind of figure.
    pub kind: FigureKind,
    /// Title for people.
    pub title: String,
    /// What is drawn, with n, interval, estimand and test: caption and text alternative.
    pub caption: String,
    width: u32,
    height: u32,
    body: String,
}

/// The kinds of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FigureKind {
    /// Configurations with their seeds and intervals.
    Intervals,
    /// Paired differences against the baseline.
    Differences,
    /// A grid of two hyperparameters, or a strip of one.
    HeatMap,
    /// Accuracy by epoch.
    Accuracy,
    /// Objective by epoch, one axis per configuration.
    Objective,
    /// Where the variance of a difference comes from, and what more seeds would buy.
    Variance,
    /// Curves of several configurations over each other.
    Overlay,
    /// One line per configuration through all settings that vary.
    Parallel,
    /// Seeds per configuration under an adaptive rule.
    Trace,
    /// Mean ranks over data sets with the critical difference.
    Ranks,
}

impl Figure {
    /// The figure as a file of its own.
    pub fn svg(&self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" {}<style>{STYLE}</style>\n<rect class=\"paper\" width=\"{}\" height=\"{}\"/>\n{}</svg>\n",
            self.head(),
            self.width,
            self.height,
            self.body
        )
    }

    /// The figure for a page that has [`STYLE`] already.
    pub fn inline(&self) -> String {
        format!("<svg {}{}</svg>", self.head(), self.body)
    }

    fn head(&self) -> String {
        let (name, width, height) = (&self.name, self.width, self.height);
        format!(
            "class=\"figure\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-labelledby=\"{name}-t {name}-d\">\n<title id=\"{name}-t\">{}</title>\n<desc id=\"{name}-d\">{}</desc>\n",
            svg::escape(&self.title),
            svg::escape(&self.caption)
        )
    }
}

/// The intervals, differences or adaptive trace of a data set; `None` where the report does not hold it, and for other kinds.
pub fn figure(report: &Report, dataset: usize, kind: FigureKind) -> Option<Figure> {
    report.datasets.get(dataset)?;
    match kind {
        FigureKind::Intervals => interval::figure(report, dataset),
        FigureKind::Differences => differences::figure(report, dataset),
        FigureKind::Trace => trace::figure(report, dataset),
        _ => None,
    }
}

/// All figures of a report: per data set intervals, differences, heat maps, parallel coordinates, variances, the adaptive trace, accuracy and objective
/// curves; then the mean ranks over data sets.
pub fn figures(report: &Report) -> Vec<Figure> {
    let mut out = Vec::new();
    for index in 0..report.datasets.len() {
        out.extend(interval::figure(report, index));
        out.extend(differences::figure(report, index));
        out.extend(heatmap::figures(report, index));
        out.extend(parallel(report, index));
        out.extend(variance::figure(report, index));
        out.extend(trace::figure(report, index));
        out.extend(curves::figures(report, index));
    }
    out.extend(ranks::figure(report));
    out
}
