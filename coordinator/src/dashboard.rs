//! The dashboard: what is running, what is best so far and how sure that is, as pages that need nothing but a browser.
//!
//! Every page is whole as served and every change is a plain form; the one script adds live patches, read-outs, sorting and filters.
//! Reading order: [`frame`] (what all pages share), [`session`] (who looks), [`assets`], [`list`] and [`page`] (sweeps and one of
//! them), [`board`] (a watched sweep in little memory), [`live`] (patches for all who watch), [`actions`]; [`run`] with [`pictures`], [`workers`], [`compare`]. Not here: statistics and
//! plots (`sweep-report`), who may ask (`service::gate`), the table of routes (`service::routes`).

pub(crate) mod actions;
pub(crate) mod assets;
pub(crate) mod bests;
pub(crate) mod board;
mod choice;
pub(crate) mod compare;
pub(crate) mod frame;
pub(crate) mod list;
pub(crate) mod live;
pub(crate) mod page;
mod parts;
pub(crate) mod pictures;
pub(crate) mod run;
pub(crate) mod session;
pub(crate) mod watch;
pub(crate) mod words;
pub(crate) mod workers;
