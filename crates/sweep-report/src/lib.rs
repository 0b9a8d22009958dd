//! Results to summaries, comparisons, verdicts, tables, plots and one HTML report. No I/O, no clock: the same input gives the
//! same bytes.
//!
//! Reading order: [`input`] (what comes in), [`report`] (what comes out, `report.json`), [`analyse()`] (the way between);
//! inside it `sides` and `summarize` (one configuration), `compare` (two), `verdict` and `headline` (what may be said), `looks` and
//! `looked` (the same where an adaptive rule gave out the seeds), `best` (many), `notes` (what must be read beside it), `numbers` (the only door to `sweep-stats`). Then the renderers: [`terminal`],
//! [`csv`], [`markdown`], [`latex`], [`plot`], [`html`] (the tables several of them print are made in `beside`), and [`bundle()`], which puts all files together. Beside all this stands
//! [`table`]: what a published table of single runs can and cannot say.

mod analyse;
mod beside;
mod best;
mod bundle;
mod chosen;
mod compare;
pub mod csv;
pub mod format;
pub mod glance;
mod grid;
mod headline;
pub mod html;
pub mod input;
pub mod latex;
mod looked;
mod looks;
pub mod markdown;
mod notes;
mod numbers;
mod part;
mod parts;
pub mod phrases;
pub mod planning;
pub mod plot;
mod ranks;
pub mod report;
mod seeds;
mod sides;
mod summarize;
pub mod table;
pub mod terminal;
mod verdict;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use analyse::analyse;
pub use bundle::{OutFile, bundle};
pub use chosen::{Chosen, SideBySide, side_by_side};
pub use input::{Extension, Input, SubmissionMeta};
pub use phrases::verdict_words;
pub use report::Report;
