//! Pure statistics over plain slices: exact tests, intervals, corrections, power, sequential rules.
//!
//! Functions take counts (`&[i64]`), real values (`&[f64]`) or packed correctness bits
//! ([`bit_rows::BitRows`]) and return numbers with names. No I/O, no clock, no threads, no global
//! random numbers; the same input gives the same bits everywhere. A quantity that does not exist is
//! an error ([`missing::Missing`]) that says why, never 0, 1 or NaN, and nothing panics on data.
//!
//! Difference always means B − A: positive = B better.
//!
//! Reading order: [`missing`], [`interval`], [`describe`], [`proportion`]; the tests over seeds (E1)
//! [`signflip`], [`wilcoxon`], [`paired`], [`effect`]; over seeds and examples (E2) [`bit_rows`],
//! [`crossed`]; families and sets [`adjust`], [`best_set`], [`equivalence`]; planning [`power`]; the
//! rest as needed. Golden values of all of them: `tests/golden.rs`.

pub mod adjust;
pub mod bayes;
pub mod best_set;
pub mod bit_rows;
pub mod bootstrap;
pub mod crossed;
pub mod describe;
pub mod distribution;
pub mod e_value;
pub mod effect;
pub mod equivalence;
pub mod friedman;
mod friedman_exact;
pub mod group_seq;
pub mod interval;
pub mod mcnemar;
pub mod missing;
pub mod nct;
pub mod paired;
pub mod power;
pub mod proportion;
pub mod quadrature;
pub mod quantile;
pub mod race;
pub mod resplit;
pub mod rng;
pub mod signflip;
mod subset_sum;
pub mod tukey;
pub mod wilcoxon;

pub use interval::Interval;
pub use missing::{Known, Missing};
