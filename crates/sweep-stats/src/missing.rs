//! Why a quantity does not exist.
//!
//! A statistic that cannot be had is an `Err(Missing)` and never 0, 1, NaN or an interval of width
//! zero: the report prints "—" and the reason. Not for bugs; nothing in this crate panics on data.

use std::error::Error;
use std::fmt;

/// A statistic, or the reason why there is none.
pub type Known<T> = Result<T, Missing>;

/// The reason why a quantity does not exist. Trying again with the same data never helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// There is not a single value.
    NoData,
    /// One seed (or pair of seeds): nothing is known about the spread over seeds.
    OneSeed,
    /// One example: nothing is known about the spread over examples.
    OneExample,
    /// All values (or all differences) are equal, or the standard error is 0.
    ZeroVariance,
    /// Every difference is zero, so there is nothing to rank.
    AllZero,
    /// Fewer seeds or pairs than the statistic needs.
    TooFewSeeds {
        /// Seeds at hand.
        have: usize,
        /// Seeds needed.
        need: usize,
    },
    /// Fewer data sets than the statistic needs.
    TooFewDataSets {
        /// Data sets at hand.
        have: usize,
        /// Data sets needed.
        need: usize,
    },
    /// Fewer configurations than the statistic needs.
    TooFewConfigurations {
        /// Configurations at hand.
        have: usize,
        /// Configurations needed.
        need: usize,
    },
    /// Two slices that must belong together have different lengths.
    UnequalLengths {
        /// Length of the first.
        left: usize,
        /// Length of the second.
        right: usize,
    },
    /// A value is NaN or infinite.
    NotFinite,
    /// An argument is outside its range; the argument and its range in words.
    OutOfRange(&'static str),
    /// The exact computation would be too large, or accuracy would be lost; what is too large.
    TooLarge(&'static str),
    /// All rows agree perfectly, so that the statistic is infinite.
    PerfectAgreement,
    /// The statistic is not defined for this choice (`BCa` of a median).
    NotDefined(&'static str),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::NoData => write!(f, "no values"),
            Missing::OneSeed => write!(f, "one seed only"),
            Missing::OneExample => write!(f, "one example only"),
            Missing::ZeroVariance => write!(f, "no variation between the values"),
            Missing::AllZero => write!(f, "every difference is zero"),
            Missing::TooFewSeeds { have, need } => write!(f, "{have} seeds, but {need} are needed"),
            Missing::TooFewDataSets { have, need } => {
                write!(f, "{have} data sets, but {need} are needed")
            }
            Missing::TooFewConfigurations { have, need } => {
                write!(f, "{have} configurations, but {need} are needed")
            }
            Missing::UnequalLengths { left, right } => {
                write!(f, "lengths differ: {left} and {right}")
            }
            Missing::NotFinite => write!(f, "a value is not a finite number"),
            Missing::OutOfRange(what) => write!(f, "{what}"),
            Missing::TooLarge(what) => write!(f, "too large: {what}"),
            Missing::PerfectAgreement => write!(f, "all rows agree, the statistic is infinite"),
            Missing::NotDefined(what) => write!(f, "not defined: {what}"),
        }
    }
}

impl Error for Missing {}

pub(crate) fn same_length(left: usize, right: usize) -> Known<()> {
    if left == right { Ok(()) } else { Err(Missing::UnequalLengths { left, right }) }
}

pub(crate) fn all_finite(values: &[f64]) -> Known<()> {
    if values.iter().all(|v| v.is_finite()) { Ok(()) } else { Err(Missing::NotFinite) }
}

pub(crate) fn check_conf(conf: f64) -> Known<()> {
    if conf > 0.0 && conf < 1.0 {
        Ok(())
    } else {
        Err(Missing::OutOfRange("`conf` must be in 0..1, both ends excluded"))
    }
}

pub(crate) fn check_alpha(alpha: f64) -> Known<()> {
    if alpha > 0.0 && alpha < 1.0 {
        Ok(())
    } else {
        Err(Missing::OutOfRange("`alpha` must be in 0..1, both ends excluded"))
    }
}

pub(crate) fn check_rope(rope: f64) -> Known<()> {
    if rope.is_finite() && rope >= 0.0 {
        Ok(())
    } else {
        Err(Missing::OutOfRange("`rope` must be finite and at least 0"))
    }
}

pub(crate) fn check_n_val(n_val: u64) -> Known<f64> {
    if n_val > 0 {
        Ok(n_val as f64)
    } else {
        Err(Missing::OutOfRange("`n_val` must be at least 1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_lowercase_fragments_with_their_numbers() {
        assert_eq!(Missing::OneSeed.to_string(), "one seed only");
        assert_eq!(
            Missing::TooFewDataSets { have: 3, need: 6 }.to_string(),
            "3 data sets, but 6 are needed"
        );
    }
}
