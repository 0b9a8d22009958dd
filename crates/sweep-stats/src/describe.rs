//! One configuration in numbers: mean, spread, quartiles, interquartile mean, t interval (§ E1).
//!
//! Not for tests between configurations: see [`crate::paired`]; intervals over the population of
//! examples: see [`crate::crossed`].

use crate::distribution::t_isf;
use crate::interval::Interval;
use crate::missing::{Known, Missing, all_finite, check_conf, check_n_val};
use crate::quantile::{iqm_sorted, quantile_sorted};

/// Summary of values, one per seed, in the unit of the values.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// Number of values.
    pub n: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation with divisor n − 1; 0 is a result (all equal), one value has none.
    pub sd: Known<f64>,
    /// Standard error of the mean, `sd / √n`.
    pub se: Known<f64>,
    /// Smallest value.
    pub min: f64,
    /// Lower quartile, type 7.
    pub q1: f64,
    /// Median.
    pub median: f64,
    /// Upper quartile, type 7.
    pub q3: f64,
    /// `q3 − q1`.
    pub iqr: f64,
    /// Largest value.
    pub max: f64,
    /// Interquartile mean: ⌊n/4⌋ values dropped at each end.
    pub iqm: f64,
    /// `mean ± t_{(1+conf)/2, n−1}·se`, not clipped; none for one seed or equal values.
    pub t_interval: Known<Interval>,
}

/// Describes real values, one per seed. `conf` is the level of the interval, in 0..1.
///
/// # Errors
/// [`Missing::NoData`] for no values, [`Missing::NotFinite`], [`Missing::OutOfRange`].
pub fn describe(values: &[f64], conf: f64) -> Known<Description> {
    check_conf(conf)?;
    describe_scaled(values.to_vec(), 1.0, conf)
}

/// Describes counts out of `n_val` (or differences of counts) as fractions. Works on the integers
/// as long as possible, so that equal counts have a standard deviation of exactly 0.
///
/// # Errors
/// As [`describe`]; `n_val` must be at least 1.
pub fn describe_counts(counts: &[i64], n_val: u64, conf: f64) -> Known<Description> {
    check_conf(conf)?;
    let n_val = check_n_val(n_val)?;
    describe_scaled(counts.iter().map(|&c| c as f64).collect(), n_val, conf)
}

fn describe_scaled(mut values: Vec<f64>, unit: f64, conf: f64) -> Known<Description> {
    let moments = Moments::of(&values)?;
    values.sort_unstable_by(f64::total_cmp);
    let at = |p| quantile_sorted(&values, p).ok_or(Missing::NoData);
    let (q1, median, q3) = (at(0.25)?, at(0.5)?, at(0.75)?);
    let sd = moments.sd();
    Ok(Description {
        n: moments.n,
        mean: moments.mean / unit,
        sd: sd.map(|sd| sd / unit),
        se: sd.map(|sd| sd / unit / (moments.n as f64).sqrt()),
        min: at(0.0)? / unit,
        q1: q1 / unit,
        median: median / unit,
        q3: q3 / unit,
        iqr: (q3 - q1) / unit,
        max: at(1.0)? / unit,
        iqm: iqm_sorted(&values).ok_or(Missing::NoData)? / unit,
        t_interval: moments.t_interval(conf).map(|i| i.scaled(1.0 / unit)),
    })
}

/// Mean and variance of a slice, the common ground of everything built on Student's t.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    pub(crate) n: usize,
    pub(crate) mean: f64,
    /// Divisor n − 1; exactly 0 when all values are equal up to rounding.
    variance: f64,
}

impl Moments {
    pub(crate) fn of(values: &[f64]) -> Known<Moments> {
        Moments::with_scale(values, 0.0)
    }

    /// Differences of numbers as large as `scale`: a spread of a few roundings of `scale` is no
    /// spread, or a test on it would report p ≈ 0.
    pub(crate) fn with_scale(values: &[f64], scale: f64) -> Known<Moments> {
        if values.is_empty() {
            return Err(Missing::NoData);
        }
        all_finite(values)?;
        let n = values.len();
        let (low, high) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
        let noise = 8.0 * f64::EPSILON * low.abs().max(high.abs()).max(scale);
        if high - low <= noise {
            return Ok(Moments { n, mean: low + 0.5 * (high - low), variance: 0.0 });
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
        if !squares.is_finite() {
            return Err(Missing::TooLarge("values whose squares overflow"));
        }
        Ok(Moments { n, mean, variance: squares / (n as f64 - 1.0) })
    }

    /// Standard deviation; an error for one value, 0 for equal ones.
    pub(crate) fn sd(&self) -> Known<f64> {
        if self.n < 2 { Err(Missing::OneSeed) } else { Ok(self.variance.sqrt()) }
    }

    /// Variance that is known and positive.
    pub(crate) fn positive_variance(&self) -> Known<f64> {
        match self.sd()? {
            sd if sd > 0.0 => Ok(self.variance),
            _ => Err(Missing::ZeroVariance),
        }
    }

    /// Standard error of the mean that is known and positive.
    pub(crate) fn positive_se(&self) -> Known<f64> {
        Ok((self.positive_variance()? / self.n as f64).sqrt())
    }

    pub(crate) fn df(&self) -> f64 {
        self.n as f64 - 1.0
    }

    pub(crate) fn t_interval(&self, conf: f64) -> Known<Interval> {
        let half = t_isf((1.0 - conf) / 2.0, self.df().max(1.0))? * self.positive_se()?;
        Ok(Interval::around(self.mean, half))
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn one_seed_has_a_mean_but_no_spread() {
        let d = describe_counts(&[54], 60, 0.95).unwrap();
        assert_relative_eq!(d.mean, 0.9);
        assert_eq!(d.sd, Err(Missing::OneSeed));
        assert_eq!(d.t_interval, Err(Missing::OneSeed));
    }

    #[test]
    fn equal_seeds_have_a_zero_spread_and_no_interval() {
        let d = describe(&[0.1 + 0.2, 0.3, 0.3], 0.95).unwrap();
        assert_eq!(d.sd, Ok(0.0));
        assert_eq!(d.t_interval, Err(Missing::ZeroVariance));
    }

    #[test]
    fn nothing_to_describe_is_an_error() {
        assert_eq!(describe(&[], 0.95), Err(Missing::NoData));
        assert_eq!(describe(&[f64::NAN], 0.95), Err(Missing::NotFinite));
        assert!(describe(&[1.0], 1.0).is_err());
        assert!(describe_counts(&[1], 0, 0.95).is_err());
        assert!(describe(&[f64::MAX, -f64::MAX], 0.95).is_err());
    }
}
