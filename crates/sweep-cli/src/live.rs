//! The live view of a running sweep, on standard error: a few lines that move on a terminal, a line now and then elsewhere.
//!
//! A live view is a look: it shows counts, estimates and intervals, never a p value or a verdict.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sweep_report::terminal::{self, Style};
use sweep_store::Counts;

use coordinator::View;

/// Without a terminal a line is printed this often: enough for a log, not a flood.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// The per-configuration lines cost an analysis of all results; above this many runs only totals are shown.
const DETAIL_UP_TO: usize = 2000;

/// How the progress of a sweep is shown.
pub(crate) enum Live {
    /// Nothing.
    Silent,
    /// Now and then a line.
    Lines {
        /// When the last one was printed.
        last: Option<Instant>,
    },
    /// A block that is drawn again and again.
    Block(ProgressBar),
}

impl Live {
    /// A live view for `total` runs of which `done` had ended before.
    pub(crate) fn new(quiet: bool, total: u64, done: u64) -> Self {
        if quiet {
            return Self::Silent;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines { last: None };
        }
        let bar = ProgressBar::new(total);
        let template = "{msg}{wide_bar} {pos}/{len} runs, {elapsed}, about {eta} left";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_position(done);
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(500));
        Self::Block(bar)
    }

    /// Whether [`Self::show`] would draw per-configuration lines, for which a view must be read.
    pub(crate) fn wants_detail(&self, runs: usize) -> bool {
        matches!(self, Self::Block(_)) && runs <= DETAIL_UP_TO
    }

    /// Shows the counts, and the configurations of `view` where given.
    pub(crate) fn show(&mut self, counts: &Counts, view: Option<&View>) {
        let ended = u64::from(counts.total() - counts.unfinished());
        match self {
            Self::Silent => {}
            Self::Lines { last } => {
                if last.is_none_or(|at| at.elapsed() >= LINE_EVERY) {
                    *last = Some(Instant::now());
                    eprintln!(
                        "{}/{} runs, {} running, {} failed",
                        ended,
                        counts.total(),
                        counts.leased,
                        counts.failed
                    );
                }
            }
            Self::Block(bar) => {
                // Rounds of an adaptive sweep add runs.
                bar.set_length(u64::from(counts.total()));
                bar.set_position(ended);
                if let Some(view) = view {
                    let (rows, columns) = console::Term::stderr().size();
                    let style = Style {
                        width: usize::from(columns).saturating_sub(1).max(40),
                        colour: false,
                    };
                    let summary = terminal::summary(&view.report(), style);
                    bar.set_message(clipped(&summary, usize::from(rows).saturating_sub(3)));
                }
            }
        }
    }

    /// Leaves the terminal clean.
    pub(crate) fn finish(&self) {
        if let Self::Block(bar) = self {
            bar.finish_and_clear();
        }
    }

    /// What may speak beside this view from anywhere.
    pub(crate) fn speaker(&self) -> Speaker {
        match self {
            Self::Block(bar) => Speaker(Some(bar.clone())),
            Self::Silent | Self::Lines { .. } => Speaker(None),
        }
    }
}

/// Prints lines above the block of a [`Live`] view, which would otherwise draw over them.
pub(crate) struct Speaker(Option<ProgressBar>);

impl Speaker {
    pub(crate) fn say(&self, line: &str) {
        match &self.0 {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }
}

/// At most `rows` lines of `text`, saying how many are missing; ends with a newline.
fn clipped(text: &str, rows: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let rows = rows.max(2);
    if lines.len() <= rows {
        return format!("{}\n", lines.join("\n"));
    }
    format!("{}\n  … and {} more\n", lines[..rows - 1].join("\n"), lines.len() - rows + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_summary_says_how_much_is_hidden() {
        assert_eq!(clipped("a\nb\nc\nd\n", 3), "a\nb\n  … and 2 more\n");
        assert_eq!(clipped("a\nb\n", 3), "a\nb\n");
    }
}
