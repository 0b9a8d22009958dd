//! Bootstrap intervals of one configuration's mean, interquartile mean or median over seeds.
//!
//! A cross-check, never the headline interval: below about 20 seeds it covers too little. Draws come
//! from the counter of [`crate::rng`], so replicates can be made in any order and on any number of
//! threads.

use std::ops::Range;

use crate::distribution::{norm_cdf, norm_ppf};
use crate::interval::Interval;
use crate::missing::{Known, Missing, check_conf, check_n_val};
use crate::quantile::kept_by_iqm;
use crate::rng::{SplitMix64, below};

/// Replicates of a default bootstrap.
pub const RESAMPLES: u64 = 10_000;

/// Seeds from which a bootstrap interval is worth showing.
pub const ENOUGH_SEEDS: usize = 20;

/// The statistic to resample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// Arithmetic mean.
    Mean,
    /// Interquartile mean, ⌊n/4⌋ dropped at each end.
    Iqm,
    /// Median.
    Median,
}

/// Bootstrap of one statistic, as fractions of `n_val`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// The statistic of the data.
    pub estimate: f64,
    /// Sum of all replicates, in index order.
    pub replicate_sum: f64,
    /// Number of replicates.
    pub resamples: u64,
    /// Percentile interval with linear interpolation; none for one seed or equal values.
    pub percentile: Known<Interval>,
    /// Bias-corrected and accelerated interval (Efron 1987); none for the median, whose jackknife is
    /// not usable, and when bias correction or acceleration do not exist: show the percentile
    /// interval then, flagged.
    pub bca: Known<Bca>,
}

/// `BCa` interval with its two constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bca {
    /// The interval.
    pub interval: Interval,
    /// Bias correction z₀ = Φ⁻¹((#< + #≤)/2B), ties decided on integers.
    pub z0: f64,
    /// Acceleration from the jackknife.
    pub acceleration: f64,
}

/// Bootstrap over seeds of counts out of `n_val`; replicate b, draw j is `index(b·n + j)` of `seed`.
///
/// # Errors
/// [`Missing::NoData`] for no counts or no resamples; [`Missing::OutOfRange`].
pub fn bootstrap(
    counts: &[i64],
    n_val: u64,
    statistic: Statistic,
    seed: u64,
    resamples: u64,
    conf: f64,
) -> Known<Bootstrap> {
    let replicates = replicates(counts, statistic, seed, 0..resamples)?;
    summarize(counts, n_val, statistic, replicates, conf)
}

/// Replicates number `range` as whole numbers, for splitting the work.
///
/// Each is the [`Statistic`] of a resample times a denominator that depends on the number of counts
/// and the statistic only. Feed the pieces, in order, to [`summarize`].
///
/// # Errors
/// [`Missing::TooLarge`] for counts whose sums could overflow.
pub fn replicates(
    counts: &[i64],
    statistic: Statistic,
    seed: u64,
    range: Range<u64>,
) -> Known<Vec<i64>> {
    let n = counts.len();
    check_size(counts)?;
    if n == 0 {
        return Ok(Vec::new());
    }
    let rng = SplitMix64::new(seed);
    let mut draws = rng.from(range.start.wrapping_mul(n as u64));
    let mut draw = || below(draws.next().unwrap_or_default(), n as u64) as usize;
    if statistic == Statistic::Mean {
        return Ok(range.map(|_| (0..n).map(|_| counts[draw()]).sum()).collect());
    }
    // Position of each value in sorted order: a resample is then a histogram over positions, and
    // sorted without sorting.
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&i| counts[i]);
    let sorted: Vec<i64> = order.iter().map(|&i| counts[i]).collect();
    let mut position = vec![0usize; n];
    for (at, &i) in order.iter().enumerate() {
        position[i] = at;
    }
    let kept = kept_by(statistic, n);
    let mut histogram = vec![0usize; n];
    Ok(range
        .map(|_| {
            histogram.fill(0);
            for _ in 0..n {
                histogram[position[draw()]] += 1;
            }
            sum_kept(&histogram, &sorted, &kept)
        })
        .collect())
}

/// Sums of resamples stay in range, and whole numbers stay exact as floating point.
fn check_size(counts: &[i64]) -> Known<()> {
    let limit = (1u64 << 53) / counts.len().max(1) as u64;
    if counts.iter().all(|c| c.unsigned_abs() <= limit) {
        Ok(())
    } else {
        Err(Missing::TooLarge("counts of a bootstrap"))
    }
}

/// Sum of the values at sorted positions `kept`, given how often each value occurs.
fn sum_kept(histogram: &[usize], sorted: &[i64], kept: &Range<usize>) -> i64 {
    let (mut seen, mut sum) = (0usize, 0i64);
    for (&times, &value) in histogram.iter().zip(sorted) {
        let from = seen.max(kept.start);
        seen += times;
        let to = seen.min(kept.end);
        if to > from {
            sum += (to - from) as i64 * value;
        }
        if seen >= kept.end {
            break;
        }
    }
    sum
}

/// Sorted positions whose sum is the statistic, up to a denominator.
fn kept_by(statistic: Statistic, n: usize) -> Range<usize> {
    match statistic {
        Statistic::Mean => 0..n,
        Statistic::Iqm => kept_by_iqm(n),
        Statistic::Median => (n - 1) / 2..n / 2 + 1,
    }
}

/// Intervals from `replicates` (all of them, in index order).
///
/// # Errors
/// As [`bootstrap`].
pub fn summarize(
    counts: &[i64],
    n_val: u64,
    statistic: Statistic,
    mut replicates: Vec<i64>,
    conf: f64,
) -> Known<Bootstrap> {
    check_conf(conf)?;
    check_size(counts)?;
    let n_val = check_n_val(n_val)?;
    if counts.is_empty() || replicates.is_empty() {
        return Err(Missing::NoData);
    }
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let kept = kept_by(statistic, sorted.len());
    let unit = kept.len() as f64 * n_val;
    let estimate: i64 = sorted[kept].iter().sum();
    let replicate_sum = replicates.iter().map(|&r| r as f64 / unit).sum();
    sort(&mut replicates);
    let varied = if counts.len() == 1 {
        Err(Missing::OneSeed)
    } else if sorted[0] == sorted[sorted.len() - 1] {
        Err(Missing::ZeroVariance)
    } else {
        Ok(())
    };
    Ok(Bootstrap {
        estimate: estimate as f64 / unit,
        replicate_sum,
        resamples: replicates.len() as u64,
        percentile: varied.and_then(|()| percentile_of(&replicates, unit, conf)),
        bca: varied.and_then(|()| bca(&sorted, estimate, statistic, &replicates, unit, conf)),
    })
}

/// Ascending. Sums of counts take few values, and counting those is faster than comparing.
fn sort(values: &mut [i64]) {
    const WIDEST: i64 = 1 << 14;
    let (Some(&low), Some(&high)) = (values.iter().min(), values.iter().max()) else { return };
    let width = high.saturating_sub(low);
    if width >= WIDEST {
        values.sort_unstable();
        return;
    }
    let mut times = vec![0usize; width as usize + 1];
    values.iter().for_each(|v| times[(v - low) as usize] += 1);
    let mut rest = values;
    for (value, times) in (low..).zip(times) {
        let (these, after) = rest.split_at_mut(times);
        these.fill(value);
        rest = after;
    }
}

fn bca(
    sorted: &[i64],
    estimate: i64,
    statistic: Statistic,
    replicates: &[i64],
    unit: f64,
    conf: f64,
) -> Known<Bca> {
    if statistic == Statistic::Median {
        return Err(Missing::NotDefined("BCa of a median"));
    }
    let below = replicates.partition_point(|&r| r < estimate);
    let at_most = replicates.partition_point(|&r| r <= estimate);
    let z0 = norm_ppf((below + at_most) as f64 / (2.0 * replicates.len() as f64))
        .map_err(|_| Missing::NotDefined("BCa when all replicates lie on one side"))?;
    let acceleration = acceleration(sorted, statistic)?;
    let end = |tail: f64| -> Known<f64> {
        let z = z0 + norm_ppf(tail)?;
        let adjusted = norm_cdf(z0 + z / (1.0 - acceleration * z));
        if adjusted.is_nan() {
            return Err(Missing::NotDefined("BCa with a singular acceleration"));
        }
        Ok(quantile_of(replicates, adjusted) / unit)
    };
    let (low, high) = (end((1.0 - conf) / 2.0)?, end((1.0 + conf) / 2.0)?);
    if low < high {
        Ok(Bca { interval: Interval { low, high }, z0, acceleration })
    } else {
        Err(Missing::ZeroVariance)
    }
}

/// `Σ(m − θ_i)³ / (6·(Σ(m − θ_i)²)^{3/2})` over the leave-one-out values `θ_i` with mean m.
fn acceleration(sorted: &[i64], statistic: Statistic) -> Known<f64> {
    let n = sorted.len();
    if n < 2 {
        return Err(Missing::OneSeed);
    }
    let kept = kept_by(statistic, n - 1);
    let left_out: Vec<f64> = (0..n)
        .map(|i| {
            let rest = sorted[..i].iter().chain(&sorted[i + 1..]);
            let sum: i64 = rest.skip(kept.start).take(kept.len()).sum();
            sum as f64 / kept.len() as f64
        })
        .collect();
    let mean = left_out.iter().sum::<f64>() / n as f64;
    let power = |k: i32| left_out.iter().map(|t| (mean - t).powi(k)).sum::<f64>();
    let squares = power(2);
    let largest = left_out.iter().fold(0.0f64, |m, t| m.max(t.abs()));
    if squares <= n as f64 * (8.0 * f64::EPSILON * largest).powi(2) {
        return Err(Missing::NotDefined("BCa when the jackknife does not vary"));
    }
    Ok(power(3) / (6.0 * squares.powf(1.5)))
}

/// The type-7 quantile of sorted whole numbers.
fn quantile_of(sorted: &[i64], p: f64) -> f64 {
    let position = p.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let (low, high) = (sorted[below] as f64, sorted[above] as f64);
    low + (position - below as f64) * (high - low)
}

/// Percentile interval of sorted replicates in units of `1/unit`; none when it has no width.
pub(crate) fn percentile_of(sorted: &[i64], unit: f64, conf: f64) -> Known<Interval> {
    if sorted.is_empty() {
        return Err(Missing::NoData);
    }
    let low = quantile_of(sorted, (1.0 - conf) / 2.0) / unit;
    let high = quantile_of(sorted, (1.0 + conf) / 2.0) / unit;
    if low < high { Ok(Interval { low, high }) } else { Err(Missing::ZeroVariance) }
}

/// Standard deviation (divisor B − 1) of replicates in units of `1/unit`.
pub(crate) fn sd_of(replicates: &[i64], unit: f64) -> Known<f64> {
    let values: Vec<f64> = replicates.iter().map(|&r| r as f64).collect();
    Ok(crate::describe::Moments::of(&values)?.sd()? / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: [i64; 10] = [53, 54, 52, 55, 53, 56, 54, 53, 55, 54];

    #[test]
    fn histograms_give_what_sorting_gives() {
        let rng = SplitMix64::new(3);
        for statistic in [Statistic::Iqm, Statistic::Median] {
            let fast = replicates(&COUNTS, statistic, 3, 0..200).unwrap();
            for (b, fast) in fast.iter().enumerate() {
                let mut drawn: Vec<i64> =
                    (0..10).map(|j| COUNTS[rng.index(b as u64 * 10 + j, 10) as usize]).collect();
                drawn.sort_unstable();
                assert_eq!(*fast, drawn[kept_by(statistic, 10)].iter().sum::<i64>());
            }
        }
    }

    #[test]
    fn counting_sorts_like_comparing() {
        let rng = SplitMix64::new(11);
        for width in [1u64, 50, 20_000] {
            let mut counted: Vec<i64> = (0..3000).map(|i| rng.index(i, width) as i64 - 7).collect();
            let mut compared = counted.clone();
            sort(&mut counted);
            compared.sort_unstable();
            assert_eq!(counted, compared);
        }
        let mut extreme = [i64::MAX, 0, i64::MIN];
        sort(&mut extreme);
        assert_eq!(extreme, [i64::MIN, 0, i64::MAX]);
    }

    #[test]
    fn one_seed_and_equal_seeds_have_no_interval() {
        let one = bootstrap(&[54], 60, Statistic::Mean, 1, 100, 0.95).unwrap();
        assert_eq!(one.percentile, Err(Missing::OneSeed));
        let equal = bootstrap(&[54; 8], 60, Statistic::Iqm, 1, 100, 0.95).unwrap();
        assert_eq!(equal.bca, Err(Missing::ZeroVariance));
        assert!(bootstrap(&[], 60, Statistic::Median, 1, 100, 0.95).is_err());
        assert!(bootstrap(&COUNTS, 60, Statistic::Mean, 1, 0, 0.95).is_err());
    }

    #[test]
    fn a_jackknife_that_does_not_vary_leaves_the_percentile_interval() {
        // dropping any one value leaves the middle half of these at 5
        let counts = [1, 5, 5, 5, 5, 5, 5, 9];
        let b = bootstrap(&counts, 60, Statistic::Iqm, 4, 4000, 0.95).unwrap();
        assert!(matches!(b.bca, Err(Missing::NotDefined(_))));
        assert!(b.percentile.is_ok());
    }
}
