//! What a published table of single runs can and cannot say: `sweep report --from-table`.
//!
//! From printed accuracies and the number of validation images alone. [`parse`] reads the table, [`analyse`] computes, [`text`]
//! prints. One run each means that nothing here speaks about training randomness; nothing here is a verdict on a loss.

mod compute;
mod counts;
mod fisher;
mod read;
mod show;

pub use compute::{
    ALPHA, CONFIDENCE, Cell, ImagesNeeded, Outcome, POWER, PooledPair, RankTest, TableDataSet,
    TablePair, TableReport, analyse,
};
pub use read::{Problem, PublishedDataSet, PublishedTable, TableError, Unit, parse};
pub use show::text;
