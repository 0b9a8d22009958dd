//! E2: the mean over seeds and over the population the examples come from, for a difference of two
//! configurations or for one configuration alone.
//!
//! Seeds and examples are crossed: all seeds meet the same examples. It is a two-way random-effects
//! analysis without replication, with a Satterthwaite t (the multi-reader multi-case design with
//! readers = seeds). Statements about these examples only (E1) belong to [`crate::signflip`] and
//! [`crate::paired`].

use crate::bit_rows::BitRows;
use crate::bootstrap::{percentile_of, sd_of};
use crate::distribution::{t_isf, t_p_values};
use crate::interval::Interval;
use crate::missing::{Known, Missing, check_conf, same_length};
use crate::rng::SplitMix64;
use crate::signflip::{SignFlip, signflip_exact};

/// The crossed analysis of S seeds × N examples; all values as fractions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crossed {
    /// Seeds S.
    pub seeds: usize,
    /// Examples N.
    pub examples: usize,
    /// Grand mean of the cells: mean difference B − A, or mean accuracy.
    pub mean: f64,
    /// Mean square of seeds, S − 1 degrees of freedom.
    pub ms_seed: f64,
    /// Mean square of examples, N − 1 degrees of freedom.
    pub ms_example: f64,
    /// Residual mean square, (S − 1)(N − 1) degrees of freedom.
    pub ms_resid: f64,
    /// Variance component of seeds, `(ms_seed − ms_resid)/N`; may be negative, then used as 0.
    pub var_seed: f64,
    /// Variance component of examples, `(ms_example − ms_resid)/S`; may be negative.
    pub var_example: f64,
    /// Variance component of the residual, `ms_resid`.
    pub var_resid: f64,
    /// Standard error of the mean, `√(M/SN)`, with
    /// `M = max(ms_seed + ms_example − ms_resid, ms_seed, ms_example)`.
    pub se: f64,
    /// Standard error if examples were fixed, `√(ms_seed/SN)`.
    pub se_seeds_only: f64,
    /// Standard error if seeds were fixed, `√(ms_example/SN)`.
    pub se_examples_only: f64,
    /// Standard error with infinitely many seeds, `√(max(var_example, 0)/N)`.
    pub se_floor: f64,
    /// Test of mean = 0 and interval of the mean; none when `se` is 0.
    pub inference: Known<CrossedInference>,
}

/// Test and interval of a crossed mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CrossedInference {
    /// Satterthwaite's degrees of freedom, `M²/(ms_seed²/(S−1) + ms_example²/(N−1))`.
    pub df: f64,
    /// `mean/se`.
    pub t: f64,
    /// Two-sided p of mean = 0 (of no meaning for a mean accuracy).
    pub p_two: f64,
    /// One-sided p for mean > 0.
    pub p_greater: f64,
    /// One-sided p for mean < 0.
    pub p_less: f64,
    /// Interval of the mean at the level asked for, not clipped.
    pub interval: Interval,
}

/// Crossed analysis of the difference B − A; row s of both is the same seed.
///
/// # Errors
/// [`Missing::UnequalLengths`] (seeds or examples), [`Missing::NoData`], [`Missing::OneSeed`],
/// [`Missing::OneExample`].
pub fn crossed_difference(a: &BitRows, b: &BitRows, conf: f64) -> Known<Crossed> {
    same_length(a.seeds(), b.seeds())?;
    same_length(a.examples(), b.examples())?;
    let squares = |x: &[i64], y: &[i64]| -> i128 {
        i128::from(x.iter().zip(y).map(|(x, y)| (y - x) * (y - x)).sum::<i64>())
    };
    let sums = Sums {
        seeds: a.seeds(),
        examples: a.examples(),
        total: i128::from(b.row_sums().iter().sum::<i64>() - a.row_sums().iter().sum::<i64>()),
        row_squares: squares(a.row_sums(), b.row_sums()),
        column_squares: squares(a.column_sums(), b.column_sums()),
        cell_squares: i128::from(a.cells_apart(b)),
    };
    sums.analysis(conf)
}

/// Crossed analysis of one configuration's correctness bits: the E2 interval of its mean accuracy.
///
/// # Errors
/// As [`crossed_difference`].
pub fn crossed_mean(rows: &BitRows, conf: f64) -> Known<Crossed> {
    let squares = |x: &[i64]| i128::from(x.iter().map(|x| x * x).sum::<i64>());
    let total = i128::from(rows.row_sums().iter().sum::<i64>());
    let sums = Sums {
        seeds: rows.seeds(),
        examples: rows.examples(),
        total,
        row_squares: squares(rows.row_sums()),
        column_squares: squares(rows.column_sums()),
        cell_squares: total,
    };
    sums.analysis(conf)
}

/// Whole-number sums of a matrix of cells in {−1, 0, 1}.
struct Sums {
    seeds: usize,
    examples: usize,
    /// T = Σ D.
    total: i128,
    /// R, the sum of squared row sums.
    row_squares: i128,
    /// C, the sum of squared column sums.
    column_squares: i128,
    /// Q = Σ D².
    cell_squares: i128,
}

impl Sums {
    fn analysis(&self, conf: f64) -> Known<Crossed> {
        check_conf(conf)?;
        match (self.seeds, self.examples) {
            (0, _) | (_, 0) => return Err(Missing::NoData),
            (1, _) => return Err(Missing::OneSeed),
            (_, 1) => return Err(Missing::OneExample),
            _ => {}
        }
        let (s, n) = (self.seeds as f64, self.examples as f64);
        let (seeds, examples) = (self.seeds as i128, self.examples as i128);
        let cells = s * n;
        // SN times each sum of squares, in integers: "no variation" is decided exactly
        let squared_total = self.total * self.total;
        let by_seed = seeds * self.row_squares - squared_total;
        let by_example = examples * self.column_squares - squared_total;
        let residual = seeds * examples * self.cell_squares - squared_total - by_seed - by_example;
        let ms_seed = by_seed as f64 / cells / (s - 1.0);
        let ms_example = by_example as f64 / cells / (n - 1.0);
        let ms_resid = residual as f64 / cells / ((s - 1.0) * (n - 1.0));
        let var_example = (ms_example - ms_resid) / s;
        let mean = self.total as f64 / cells;
        let largest = (ms_seed + ms_example - ms_resid).max(ms_seed).max(ms_example);
        let se = (largest / cells).sqrt();
        let spread = ms_seed * ms_seed / (s - 1.0) + ms_example * ms_example / (n - 1.0);
        Ok(Crossed {
            seeds: self.seeds,
            examples: self.examples,
            mean,
            ms_seed,
            ms_example,
            ms_resid,
            var_seed: (ms_seed - ms_resid) / n,
            var_example,
            var_resid: ms_resid,
            se,
            se_seeds_only: (ms_seed / cells).sqrt(),
            se_examples_only: (ms_example / cells).sqrt(),
            se_floor: (var_example.max(0.0) / n).sqrt(),
            inference: if se > 0.0 {
                inference(mean, se, largest * largest / spread, conf)
            } else {
                Err(Missing::ZeroVariance)
            },
        })
    }
}

fn inference(mean: f64, se: f64, df: f64, conf: f64) -> Known<CrossedInference> {
    let t = mean / se;
    let p = t_p_values(t, df)?;
    Ok(CrossedInference {
        df,
        t,
        p_two: p.two,
        p_greater: p.greater,
        p_less: p.less,
        interval: Interval::around(mean, t_isf((1.0 - conf) / 2.0, df)? * se),
    })
}

/// Sign-flip test over seeds (E1): differences of the row sums.
///
/// # Errors
/// As [`signflip_exact`], and [`Missing::UnequalLengths`].
pub fn signflip_over_seeds(a: &BitRows, b: &BitRows) -> Known<SignFlip> {
    same_length(a.examples(), b.examples())?;
    signflip_exact(&crate::paired::differences(a.row_sums(), b.row_sums())?)
}

/// Sign-flip test over per-example sums: E2 with these seeds fixed.
///
/// # Errors
/// As [`signflip_exact`], and [`Missing::UnequalLengths`].
pub fn signflip_over_examples(a: &BitRows, b: &BitRows) -> Known<SignFlip> {
    same_length(a.seeds(), b.seeds())?;
    signflip_exact(&crate::paired::differences(a.column_sums(), b.column_sums())?)
}

/// Result of the pigeonhole bootstrap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pigeonhole {
    /// Percentile interval of the mean difference; none when all replicates are equal.
    pub percentile: Known<Interval>,
    /// Standard deviation of the replicates.
    pub sd: Known<f64>,
}

/// Pigeonhole bootstrap of the mean difference B − A (Owen 2007): rows and columns resampled
/// independently.
///
/// For a plot only: its spread is 1.3 to 1.8 times that of [`crossed_difference`]. Replicate b takes
/// S row draws, then N column draws, from counter `b·(S + N)` of `seed`.
///
/// # Errors
/// As [`crossed_difference`]; `resamples` must be at least 1.
pub fn pigeonhole(
    a: &BitRows,
    b: &BitRows,
    seed: u64,
    resamples: u64,
    conf: f64,
) -> Known<Pigeonhole> {
    check_conf(conf)?;
    same_length(a.seeds(), b.seeds())?;
    same_length(a.examples(), b.examples())?;
    let (s, n) = (a.seeds(), a.examples());
    if s == 0 || n == 0 || resamples == 0 {
        return Err(Missing::NoData);
    }
    let cells: Vec<Vec<i64>> = (0..s)
        .map(|r| (0..n).map(|i| i64::from(b.get(r, i)) - i64::from(a.get(r, i))).collect())
        .collect();
    let rng = SplitMix64::new(seed);
    let mut sums: Vec<i64> = Vec::new();
    let mut columns = vec![0i64; n];
    for replicate in 0..resamples {
        let counter = replicate.wrapping_mul((s + n) as u64);
        columns.fill(0);
        for draw in 0..s as u64 {
            let row = rng.index(counter.wrapping_add(draw), s as u64) as usize;
            columns.iter_mut().zip(&cells[row]).for_each(|(sum, d)| *sum += d);
        }
        let draws = (s as u64..(s + n) as u64)
            .map(|draw| columns[rng.index(counter.wrapping_add(draw), n as u64) as usize]);
        sums.push(draws.sum());
    }
    sums.sort_unstable();
    let unit = (s * n) as f64;
    Ok(Pigeonhole { percentile: percentile_of(&sums, unit, conf), sd: sd_of(&sums, unit) })
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    fn rows(seeds: usize, examples: usize, f: impl Fn(usize, usize) -> bool) -> BitRows {
        let bools: Vec<Vec<bool>> =
            (0..seeds).map(|s| (0..examples).map(|i| f(s, i)).collect()).collect();
        BitRows::from_bools(&bools).unwrap()
    }

    /// Sums of squares straight from the definition of a two-way analysis of variance.
    #[test]
    fn mean_squares_are_those_of_the_textbook() {
        let (s, n) = (4, 70);
        let a = rows(s, n, |r, i| (r * 31 + i * 17) % 7 != 0);
        let b = rows(s, n, |r, i| (r * 13 + i * 29) % 11 > 1);
        let d = |r: usize, i: usize| f64::from(b.get(r, i)) - f64::from(a.get(r, i));
        let row = |r: usize| (0..n).map(|i| d(r, i)).sum::<f64>() / n as f64;
        let column = |i: usize| (0..s).map(|r| d(r, i)).sum::<f64>() / s as f64;
        let mean = (0..s).map(row).sum::<f64>() / s as f64;
        let got = crossed_difference(&a, &b, 0.95).unwrap();
        let ms_seed = (0..s).map(|r| (row(r) - mean).powi(2)).sum::<f64>() * n as f64 / 3.0;
        let ms_example = (0..n).map(|i| (column(i) - mean).powi(2)).sum::<f64>() * s as f64 / 69.0;
        let residual: f64 = (0..s)
            .flat_map(|r| (0..n).map(move |i| (r, i)))
            .map(|(r, i)| (d(r, i) - row(r) - column(i) + mean).powi(2))
            .sum();
        assert_relative_eq!(got.mean, mean, max_relative = 1e-12);
        assert_relative_eq!(got.ms_seed, ms_seed, max_relative = 1e-12);
        assert_relative_eq!(got.ms_example, ms_example, max_relative = 1e-12);
        assert_relative_eq!(got.ms_resid, residual / (3.0 * 69.0), max_relative = 1e-12);
    }

    #[test]
    fn a_mean_is_the_difference_from_a_configuration_that_has_nothing_right() {
        let a = rows(5, 66, |r, i| (r * 5 + i * 3) % 13 != 0);
        let nothing = rows(5, 66, |_, _| false);
        assert_eq!(crossed_mean(&a, 0.95), crossed_difference(&nothing, &a, 0.95));
    }

    #[test]
    fn identical_or_constant_configurations_have_no_interval() {
        let a = rows(5, 60, |r, i| (r + i) % 9 != 0);
        let same = crossed_difference(&a, &a, 0.95).unwrap();
        assert_eq!((same.mean, same.inference), (0.0, Err(Missing::ZeroVariance)));
        let all = rows(3, 60, |_, _| true);
        assert_eq!(crossed_mean(&all, 0.95).unwrap().inference, Err(Missing::ZeroVariance));
        assert_eq!(crossed_mean(&all, 0.95).unwrap().mean, 1.0);
    }

    #[test]
    fn one_seed_or_one_example_has_no_crossed_analysis() {
        assert_eq!(crossed_mean(&rows(1, 9, |_, i| i > 2), 0.95), Err(Missing::OneSeed));
        assert_eq!(crossed_mean(&rows(9, 1, |r, _| r > 2), 0.95), Err(Missing::OneExample));
        assert_eq!(crossed_mean(&rows(0, 0, |_, _| true), 0.95), Err(Missing::NoData));
        let (a, b) = (rows(2, 9, |_, _| true), rows(3, 9, |_, _| true));
        assert!(crossed_difference(&a, &b, 0.95).is_err());
        assert!(pigeonhole(&a, &a, 1, 10, 0.95).unwrap().percentile.is_err());
    }
}
