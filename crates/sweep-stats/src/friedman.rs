//! Several configurations across data sets: Friedman, Iman–Davenport, Kendall's W, Nemenyi, and
//! pairwise exact Wilcoxon with Holm.
//!
//! Rows are data sets (E4). Below 6 data sets these are descriptions, not claims: with 3, no
//! pairwise Wilcoxon test can reject. Rows of (data set, seed) would answer E1, not E4.

use crate::adjust::holm;
use crate::distribution::{chi2_sf, f_sf};
use crate::friedman_exact::exact_p;
use crate::missing::{Known, Missing, all_finite, same_length};
use crate::subset_sum::attainable;
use crate::tukey::{studentized_range_isf, studentized_range_sf};
use crate::wilcoxon::{Zeros, wilcoxon_signed_rank};

/// Largest N·k for which the Friedman p value is also computed exactly.
pub const MAX_EXACT_CELLS: usize = 24;

/// Friedman's test and its relatives over N data sets and k configurations.
#[derive(Clone, Debug, PartialEq)]
pub struct Friedman {
    /// Data sets N.
    pub n_sets: usize,
    /// Configurations k.
    pub k: usize,
    /// Mean rank of each configuration, 1 = best, midranks for ties.
    pub avg_ranks: Vec<f64>,
    /// `(k−1)·Σ(R_j − N(k+1)/2)²/(Σ rank² − Nk(k+1)²/4)`; none when all ranks are tied.
    pub chi2: Known<f64>,
    /// Degrees of freedom of `chi2`, k − 1.
    pub df: usize,
    /// Upper tail of `chi2`.
    pub p_chi2: Known<f64>,
    /// Kendall's W = χ²/(N(k−1)).
    pub kendall_w: Known<f64>,
    /// Iman and Davenport (1980): (N−1)χ²/(N(k−1) − χ²).
    pub iman_davenport_f: Known<f64>,
    /// First degrees of freedom of F, k − 1.
    pub df1: usize,
    /// Second degrees of freedom of F, (k−1)(N−1).
    pub df2: usize,
    /// Upper tail of F.
    pub p_f: Known<f64>,
    /// Exact permutation p of the statistic, for N·k ≤ [`MAX_EXACT_CELLS`].
    pub p_exact: Known<f64>,
    /// Nemenyi's p for each pair, 1 on the diagonal.
    pub nemenyi_p: Vec<Vec<f64>>,
}

/// Friedman's test: `score[i][j]` is configuration j on data set i.
///
/// # Errors
/// [`Missing::TooFewDataSets`] below 2 rows, [`Missing::TooFewConfigurations`] below 2 columns,
/// [`Missing::UnequalLengths`], [`Missing::NotFinite`].
pub fn friedman<R: AsRef<[f64]>>(score: &[R], higher_is_better: bool) -> Known<Friedman> {
    let ranks = doubled_ranks(score, higher_is_better)?;
    let (n_sets, k) = (ranks.len(), ranks[0].len());
    let (n, kf) = (n_sets as f64, k as f64);
    let mut sums = vec![0i64; k];
    for row in &ranks {
        sums.iter_mut().zip(row).for_each(|(sum, rank)| *sum += rank);
    }
    // all in doubled ranks: a mean rank of (k+1)/2 is k+1
    let center = (n_sets * (k + 1)) as i64;
    let between: i64 = sums.iter().map(|s| (s - center) * (s - center)).sum();
    let squares: i64 = ranks.iter().flatten().map(|r| r * r).sum();
    let total = squares - center * (k * (k + 1)) as i64;
    let chi2 = if total > 0 {
        Ok((kf - 1.0) * between as f64 / total as f64)
    } else {
        Err(Missing::ZeroVariance)
    };
    let (df1, df2) = (k - 1, (k - 1) * (n_sets - 1));
    let f = chi2.and_then(|x| {
        // total·N − between: how far the data are from perfect agreement, in integers
        if n_sets as i64 * total == between {
            Err(Missing::PerfectAgreement)
        } else {
            Ok((n - 1.0) * x / (n * (kf - 1.0) - x))
        }
    });
    let avg_ranks: Vec<f64> = sums.iter().map(|&s| s as f64 / 2.0 / n).collect();
    Ok(Friedman {
        n_sets,
        k,
        nemenyi_p: nemenyi(&avg_ranks, n_sets)?,
        avg_ranks,
        chi2,
        df: k - 1,
        p_chi2: chi2.and_then(|x| chi2_sf(x, kf - 1.0)),
        kendall_w: chi2.map(|x| x / (n * (kf - 1.0))),
        iman_davenport_f: f,
        df1,
        df2,
        p_f: f.and_then(|f| f_sf(f, df1 as f64, df2 as f64)),
        p_exact: if n_sets * k > MAX_EXACT_CELLS {
            Err(Missing::TooLarge("data sets times configurations above 24"))
        } else {
            Ok(exact_p(&ranks))
        },
    })
}

/// Twice the midranks within each row, 1 = best.
fn doubled_ranks<R: AsRef<[f64]>>(score: &[R], higher_is_better: bool) -> Known<Vec<Vec<i64>>> {
    if score.len() < 2 {
        return Err(Missing::TooFewDataSets { have: score.len(), need: 2 });
    }
    let k = check_rows(score)?;
    if k < 2 {
        return Err(Missing::TooFewConfigurations { have: k, need: 2 });
    }
    let rank = |row: &[f64], x: f64| -> i64 {
        let better = |y: f64| if higher_is_better { y > x } else { y < x };
        let ahead = row.iter().filter(|&&y| better(y)).count();
        let tied = row.iter().filter(|&&y| y == x).count();
        (2 * ahead + tied + 1) as i64
    };
    Ok(score
        .iter()
        .map(|row| row.as_ref().iter().map(|&x| rank(row.as_ref(), x)).collect())
        .collect())
}

fn check_rows<R: AsRef<[f64]>>(score: &[R]) -> Known<usize> {
    let k = score.first().map_or(0, |r| r.as_ref().len());
    for row in score {
        same_length(k, row.as_ref().len())?;
        all_finite(row.as_ref())?;
    }
    Ok(k)
}

/// Nemenyi's p of two mean ranks: studentized range of `√2·|gap|/√(k(k+1)/6N)`.
fn nemenyi(avg_ranks: &[f64], n_sets: usize) -> Known<Vec<Vec<f64>>> {
    let k = avg_ranks.len();
    let se = rank_se(k, n_sets);
    let mut p = vec![vec![1.0; k]; k];
    for i in 0..k {
        for j in 0..i {
            let q = std::f64::consts::SQRT_2 * (avg_ranks[i] - avg_ranks[j]).abs() / se;
            p[i][j] = studentized_range_sf(q, k)?;
            p[j][i] = p[i][j];
        }
    }
    Ok(p)
}

fn rank_se(k: usize, n_sets: usize) -> f64 {
    ((k * (k + 1)) as f64 / (6.0 * n_sets as f64)).sqrt()
}

/// Nemenyi's critical difference of mean ranks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CriticalDifference {
    /// Quantile of the studentized range divided by √2, as in Demšar (2006).
    pub q_alpha: f64,
    /// `q_alpha·√(k(k+1)/6N)`.
    pub cd: f64,
    /// Largest gap two mean ranks can have, k − 1.
    pub max_rank_gap: usize,
}

/// Nemenyi's critical difference for k configurations on `n_sets` data sets.
///
/// # Errors
/// [`Missing::TooFewConfigurations`], [`Missing::TooFewDataSets`] for none,
/// [`Missing::OutOfRange`].
pub fn nemenyi_cd(k: usize, n_sets: usize, alpha: f64) -> Known<CriticalDifference> {
    if n_sets == 0 {
        return Err(Missing::TooFewDataSets { have: 0, need: 1 });
    }
    let q_alpha = studentized_range_isf(alpha, k)? / std::f64::consts::SQRT_2;
    Ok(CriticalDifference { q_alpha, cd: q_alpha * rank_se(k, n_sets), max_rank_gap: k - 1 })
}

/// Exact Wilcoxon tests of all pairs of configurations across data sets, with Holm.
#[derive(Clone, Debug, PartialEq)]
pub struct PairwiseWilcoxon {
    /// Pairs (i, j), i < j, in lexicographic order.
    pub pairs: Vec<(usize, usize)>,
    /// Two-sided exact p of each pair, zeros dropped.
    pub p: Vec<f64>,
    /// The same after Holm.
    pub p_holm: Vec<f64>,
    /// Smallest p this many data sets can give, `2^(1−N)`.
    pub p_min: f64,
}

/// Pairwise Wilcoxon tests with Holm: `score[i][j]` is configuration j on data set i. Differences
/// are rounded to multiples of `grid`, so that ties are ties.
///
/// # Errors
/// [`Missing::TooFewDataSets`] for none, [`Missing::UnequalLengths`], [`Missing::NotFinite`],
/// [`Missing::OutOfRange`] unless `grid` > 0.
pub fn wilcoxon_holm<R: AsRef<[f64]>>(score: &[R], grid: f64) -> Known<PairwiseWilcoxon> {
    if score.is_empty() {
        return Err(Missing::TooFewDataSets { have: 0, need: 1 });
    }
    let k = check_rows(score)?;
    if !(grid > 0.0 && grid.is_finite()) {
        return Err(Missing::OutOfRange("`grid` must be positive and finite"));
    }
    let pairs: Vec<(usize, usize)> = (0..k).flat_map(|i| (i + 1..k).map(move |j| (i, j))).collect();
    let p = pairs
        .iter()
        .map(|&(i, j)| {
            let diff: Vec<i64> = score
                .iter()
                .map(|row| ((row.as_ref()[j] - row.as_ref()[i]) / grid).round() as i64)
                .collect();
            Ok(wilcoxon_signed_rank(&diff, Zeros::Wilcox)?.p_two)
        })
        .collect::<Known<Vec<f64>>>()?;
    Ok(PairwiseWilcoxon { pairs, p_holm: holm(&p)?, p, p_min: attainable(score.len()) })
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    /// Table 4 of the study: cosine, softmax, AM-Softmax on Weather, Fruits, Covid.
    #[test]
    fn the_studys_table_4_shows_no_difference() {
        let score = [[98.0, 97.0, 97.0], [88.0, 92.0, 90.0], [91.0, 94.0, 89.0]];
        let f = friedman(&score, true).unwrap();
        assert_relative_eq!(f.chi2.unwrap(), 1.636, epsilon = 5e-4);
        assert_relative_eq!(f.p_chi2.unwrap(), 0.441, epsilon = 5e-4);
        assert_relative_eq!(f.p_f.unwrap(), 0.529, epsilon = 5e-4);
        assert_relative_eq!(f.p_exact.unwrap(), 54.0 / 108.0);
    }

    #[test]
    fn perfect_agreement_and_all_ties_are_told_apart() {
        let agree = friedman(&[[1.0, 2.0], [3.0, 5.0], [0.0, 1.0]], true).unwrap();
        assert_eq!(agree.iman_davenport_f, Err(Missing::PerfectAgreement));
        assert_relative_eq!(agree.kendall_w.unwrap(), 1.0);
        assert_eq!(agree.p_exact, Ok(0.25));
        let tied = friedman(&[[1.0, 1.0], [3.0, 3.0]], true).unwrap();
        assert_eq!((tied.chi2, tied.p_exact), (Err(Missing::ZeroVariance), Ok(1.0)));
    }

    #[test]
    fn lower_can_be_better() {
        let loss = friedman(&[[0.1, 0.3], [0.2, 0.4]], false).unwrap();
        assert_eq!(loss.avg_ranks, [1.0, 2.0]);
    }

    #[test]
    fn wrong_shapes_are_refused() {
        assert!(friedman(&[[1.0, 2.0]], true).is_err());
        assert!(friedman(&[[1.0], [2.0]], true).is_err());
        assert!(friedman(&[vec![1.0, 2.0], vec![1.0]], true).is_err());
        assert!(friedman(&[[1.0, f64::NAN], [1.0, 2.0]], true).is_err());
        assert!(wilcoxon_holm::<[f64; 2]>(&[], 0.1).is_err());
        assert!(wilcoxon_holm(&[[1.0, 2.0]], 0.0).is_err());
        assert!(nemenyi_cd(3, 0, 0.05).is_err());
    }
}
