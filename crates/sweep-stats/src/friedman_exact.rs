//! The exact null distribution of Friedman's statistic: every row permuted on its own.
//!
//! Private to [`crate::friedman`]. The statistic is a symmetric function of the rank sums, so sums
//! that are permutations of each other are one state; the last row is counted without listing its
//! permutations.

use std::collections::BTreeMap;

/// `P(Σ R_j² ≥ observed)` over all permutations within rows, ties included. `ranks` are doubled
/// midranks, small whole numbers; at least one row.
pub(crate) fn exact_p(ranks: &[Vec<i64>]) -> f64 {
    let k = ranks[0].len();
    let mut sums = vec![0i64; k];
    for row in ranks {
        sums.iter_mut().zip(row).for_each(|(sum, rank)| *sum += rank);
    }
    let observed: i64 = sums.iter().map(|s| s * s).sum();
    let Some((last, first)) = ranks.split_last() else { return 1.0 };
    let Some((start, middle)) = first.split_first() else { return 1.0 };
    let mut start = start.clone();
    start.sort_unstable();
    let mut states = BTreeMap::from([(start, 1.0f64)]);
    for row in middle {
        let arrangements = arrangements(row);
        let weight = 1.0 / arrangements.len() as f64;
        let mut next = BTreeMap::new();
        for (state, p) in &states {
            for arranged in &arrangements {
                let mut sum: Vec<i64> = state.iter().zip(arranged).map(|(a, b)| a + b).collect();
                sum.sort_unstable();
                *next.entry(sum).or_insert(0.0) += p * weight;
            }
        }
        states = next;
    }
    let p: f64 = states.iter().map(|(state, p)| p * tail_of_last(state, last, observed)).sum();
    p.clamp(f64::MIN_POSITIVE, 1.0)
}

/// All distinct orders of a row.
fn arrangements(row: &[i64]) -> Vec<Vec<i64>> {
    let mut current = row.to_vec();
    current.sort_unstable();
    let mut all = vec![current.clone()];
    // next permutation in lexicographic order
    while let Some(i) = (1..current.len()).rev().find(|&i| current[i - 1] < current[i]) {
        if let Some(j) = (i..current.len()).rev().find(|&j| current[j] > current[i - 1]) {
            current.swap(i - 1, j);
        }
        current[i..].reverse();
        all.push(current.clone());
    }
    all
}

/// Share of the permutations π of `last` with `Σ(a_j + b_π(j))² ≥ observed`.
///
/// Since Σa² and Σb² are fixed this counts `Σ a_j·b_π(j)` against a threshold, by dynamic programming over
/// the set of entries of `last` already given out. Products are held in units of their common
/// divisor, so that the tables are short.
fn tail_of_last(state: &[i64], last: &[i64], observed: i64) -> f64 {
    let fixed: i64 = state.iter().chain(last).map(|v| v * v).sum();
    let (unit_a, unit_b) = (common_divisor(state), common_divisor(last));
    let a: Vec<usize> = state.iter().map(|v| (v / unit_a) as usize).collect();
    let b: Vec<usize> = last.iter().map(|v| (v / unit_b) as usize).collect();
    let largest = a.iter().sum::<usize>() * b.iter().max().copied().unwrap_or(0);
    let full = (1usize << b.len()) - 1;
    let mut by_set: Vec<Vec<f64>> = vec![Vec::new(); full + 1];
    by_set[0] = vec![1.0];
    for set in 0..full {
        let position = set.count_ones() as usize;
        let here = std::mem::take(&mut by_set[set]);
        let share = 1.0 / (b.len() - position) as f64;
        for (j, value) in b.iter().enumerate().filter(|(j, _)| set >> j & 1 == 0) {
            let shift = a[position] * value;
            let there = &mut by_set[set | 1 << j];
            let needed = (here.len() + shift).min(largest + 1);
            if there.len() < needed {
                there.resize(needed, 0.0);
            }
            there[shift..].iter_mut().zip(&here).for_each(|(to, p)| *to += p * share);
        }
    }
    let unit = unit_a * unit_b;
    by_set[full]
        .iter()
        .enumerate()
        .filter(|(product, _)| fixed + 2 * unit * *product as i64 >= observed)
        .map(|(_, p)| p)
        .sum()
}

/// Greatest common divisor of positive numbers.
fn common_divisor(values: &[i64]) -> i64 {
    fn gcd(a: i64, b: i64) -> i64 {
        if b == 0 { a } else { gcd(b, a % b) }
    }
    values.iter().fold(0, |g, &v| gcd(g, v)).max(1)
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn arrangements_are_distinct_and_complete() {
        assert_eq!(arrangements(&[2, 4, 6]).len(), 6);
        assert_eq!(arrangements(&[3, 3, 6]).len(), 3);
        assert_eq!(arrangements(&[4, 4, 4]).len(), 1);
    }

    #[test]
    fn the_distribution_equals_listing_every_permutation() {
        let ranks = vec![vec![2, 4, 6, 8], vec![3, 3, 6, 8], vec![8, 2, 6, 4]];
        let all: Vec<Vec<Vec<i64>>> = ranks.iter().map(|r| arrangements(r)).collect();
        let square = |rows: [&Vec<i64>; 3]| -> i64 {
            (0..4).map(|j| rows.iter().map(|r| r[j]).sum::<i64>().pow(2)).sum()
        };
        let observed = square([&ranks[0], &ranks[1], &ranks[2]]);
        let (mut hits, mut total) = (0, 0);
        for a in &all[0] {
            for b in &all[1] {
                for c in &all[2] {
                    total += 1;
                    hits += i32::from(square([a, b, c]) >= observed);
                }
            }
        }
        let share = f64::from(hits) / f64::from(total);
        assert_relative_eq!(exact_p(&ranks), share, max_relative = 1e-12);
    }

    #[test]
    fn the_widest_tables_end() {
        // two rows of twelve that agree: one arrangement in 12!
        let row: Vec<i64> = (1..=12).map(|r| 2 * r).collect();
        let p = exact_p(&[row.clone(), row]);
        assert_relative_eq!(p, 1.0 / 479_001_600.0, max_relative = 1e-9);
        let row: Vec<i64> = (1..=8).map(|r| 2 * r).collect();
        assert_relative_eq!(
            exact_p(&[row.clone(), row.clone(), row]),
            1.0 / 40_320f64.powi(2),
            max_relative = 1e-9
        );
    }
}
