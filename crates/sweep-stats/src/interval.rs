//! An interval of real numbers with its two ends, and the questions verdicts ask of it.
//!
//! Not for its level or its meaning: whoever made it knows both.

/// A two-sided interval `low ..= high`, `low < high` wherever this crate makes one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// `center ± half`.
    pub fn around(center: f64, half: f64) -> Interval {
        Interval { low: center - half, high: center + half }
    }

    /// True when `value` lies in the interval, ends included.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// True when 0 lies strictly outside.
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }

    /// True when the whole interval lies within `-half ..= half`.
    pub fn inside(&self, half: f64) -> bool {
        -half <= self.low && self.high <= half
    }

    /// Length.
    pub fn width(&self) -> f64 {
        self.high - self.low
    }

    /// Both ends times `factor > 0` (fractions to examples, for instance).
    pub fn scaled(&self, factor: f64) -> Interval {
        Interval { low: self.low * factor, high: self.high * factor }
    }

    /// Both ends moved into `low ..= high`; for printing only, tests use the unclipped interval.
    pub fn clipped(&self, low: f64, high: f64) -> Interval {
        Interval { low: self.low.max(low).min(high), high: self.high.min(high).max(low) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_at_zero_does_not_exclude_zero() {
        assert!(!Interval { low: 0.0, high: 1.0 }.excludes_zero());
        assert!(Interval { low: -2.0, high: -1.0 }.excludes_zero());
        assert!(Interval { low: -1.0, high: 1.0 }.inside(1.0));
        assert_eq!(
            Interval { low: 0.9, high: 1.1 }.clipped(0.0, 1.0),
            Interval { low: 0.9, high: 1.0 }
        );
    }
}
