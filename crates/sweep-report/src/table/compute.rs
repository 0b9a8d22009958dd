//! [`PublishedTable`] → [`TableReport`]: every bound holds over all joint outcomes that fit the prints. Formulas are `sweep-stats`'s.
//!
//! Why bounds need no enumeration: at a given gap of counts, an image on which each run is right alone only raises `McNemar`'s p,
//! and every further image in one direction lowers it. So p is smallest at the largest gap with no other disagreement, and
//! largest at the smallest gap with as many as fit. A test enumerates.

use serde::Serialize;
use sweep_stats::friedman::friedman;
use sweep_stats::mcnemar::mcnemar;
use sweep_stats::power::examples_for_mcnemar;
use sweep_stats::proportion::{clopper_pearson, wilson};

use super::fisher::fisher;
use super::read::{PublishedDataSet, PublishedTable};
use crate::report::Interval;

/// Level of the tests.
pub const ALPHA: f64 = 0.05;
/// Level of the intervals.
pub const CONFIDENCE: f64 = 0.95;
/// Power of the numbers of images needed.
pub const POWER: f64 = 0.8;
/// Shares of images on which two runs disagree, for which images are planned: not knowable from a table, about 6 to 10 % where
/// two losses fine-tune the same backbone.
const DISAGREEMENTS: [f64; 2] = [0.10, 0.06];

/// Lowest and highest count that fits a print.
type Counts = (u64, u64);

/// What a published table of single runs can say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableReport {
    /// Version of this shape.
    pub schema: u32,
    /// As in the table.
    pub title: String,
    /// Losses in the order of the table.
    pub losses: Vec<String>,
    /// [`ALPHA`].
    pub alpha: f64,
    /// [`CONFIDENCE`].
    pub confidence: f64,
    /// [`POWER`].
    pub power: f64,
    /// Images that must all speak for one side before the exact test reaches `alpha`.
    pub images_one_sided_exact: u64,
    /// The same for mid-p.
    pub images_one_sided_mid: u64,
    /// One per data set.
    pub datasets: Vec<TableDataSet>,
    /// Each pair over all data sets that have both.
    pub pooled: Vec<PooledPair>,
    /// Friedman's test over the data sets; `None` below two data sets or losses, or with an empty cell.
    pub ranks: Option<RankTest>,
}

/// One data set of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableDataSet {
    /// Its name.
    pub name: String,
    /// Validation images.
    pub n_val: u64,
    /// One per printed accuracy.
    pub cells: Vec<Cell>,
    /// Each pair of cells.
    pub pairs: Vec<TablePair>,
    /// Binomial standard deviation of one accuracy at the mean of the table, as a share.
    pub binomial_sd: f64,
    /// Smallest and largest range of counts that fit the prints.
    pub range: (u64, u64),
    /// Chance of a range at least this large if all were equally good and independent, at the largest and the smallest range.
    pub chance_of_range: (f64, f64),
    /// The same with every count the lowest that fits.
    pub chance_of_range_at_lowest: f64,
}

/// One printed accuracy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// Index into [`TableReport::losses`].
    pub loss: usize,
    /// As printed.
    pub printed: String,
    /// Lowest count of right images that rounds to the print, half up or half to even.
    pub low: u64,
    /// Highest.
    pub high: u64,
    /// Wilson interval of `low` and of `high`, as shares.
    pub wilson: (Interval, Interval),
    /// Clopper–Pearson interval of both; `None` above 5000 images, where it is not accurate.
    pub clopper_pearson: Option<(Interval, Interval)>,
}

/// Two cells of a data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TablePair {
    /// Index into [`TableReport::losses`].
    pub a: usize,
    /// Index into [`TableReport::losses`].
    pub b: usize,
    /// Smallest exact p of `McNemar`'s test over every joint outcome that fits.
    pub p_smallest: f64,
    /// Largest.
    pub p_largest: f64,
    /// Smallest mid-p.
    pub mid_p_smallest: f64,
    /// Smallest p of Fisher's exact test, which takes the images of both runs for different ones.
    pub fisher_p_smallest: f64,
    /// Largest gap in images.
    pub largest_gap: u64,
    /// What can be said.
    pub outcome: Outcome,
    /// Images a study of this gap would need.
    pub images_needed: Vec<ImagesNeeded>,
}

/// What the print allows to be said of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// No joint outcome that fits reaches the level.
    CannotBeDistinguished,
    /// Some do, some do not.
    NotDecidable,
    /// All do: these two runs differ on images like these. One run each: says nothing of seeds.
    RunsDiffer,
}

/// Images for a power of [`POWER`] by `McNemar`'s test of one pair of runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ImagesNeeded {
    /// The largest gap as a share, rounded to a hundredth of a point as it is printed.
    pub gap: f64,
    /// Assumed share of images on which the runs disagree.
    pub disagreement: f64,
    /// Images.
    pub images: u64,
}

/// A pair over all data sets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PooledPair {
    /// Index into [`TableReport::losses`].
    pub a: usize,
    /// Index into [`TableReport::losses`].
    pub b: usize,
    /// Data sets that have both.
    pub datasets: usize,
    /// Smallest exact p over every joint outcome that fits, the disagreements of all data sets added.
    pub p_smallest: f64,
    /// Smallest mid-p.
    pub mid_p_smallest: f64,
    /// What can be said; never [`Outcome::RunsDiffer`].
    pub outcome: Outcome,
}

/// Friedman's test on the printed accuracies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankTest {
    /// Mean rank of each loss, 1 is best.
    pub mean_ranks: Vec<f64>,
    /// χ²; `None` when all are tied.
    pub chi2: Option<f64>,
    /// Its p.
    pub p_chi2: Option<f64>,
    /// Iman and Davenport's p; `None` also at perfect agreement.
    pub p_iman_davenport: Option<f64>,
    /// Exact permutation p, up to 24 cells.
    pub p_exact: Option<f64>,
    /// Arrangements of the ranks at least as extreme, and all of them.
    pub arrangements: Option<(u64, u64)>,
}

/// What `table` can say. Total: no table that [`super::parse`] accepts panics.
pub fn analyse(table: &PublishedTable) -> TableReport {
    TableReport {
        schema: 1,
        title: table.title.clone(),
        losses: table.losses.clone(),
        alpha: ALPHA,
        confidence: CONFIDENCE,
        power: POWER,
        images_one_sided_exact: one_sided(|gap| mcnemar(gap, 0).p_exact),
        images_one_sided_mid: one_sided(|gap| mcnemar(gap, 0).p_mid),
        datasets: table.datasets.iter().map(dataset).collect(),
        pooled: pooled(table),
        ranks: ranks(table),
    }
}

fn one_sided(p: impl Fn(u64) -> f64) -> u64 {
    // 2·2^−64 is below any level: the search ends.
    (1..64).find(|gap| p(*gap) <= ALPHA).unwrap_or(64)
}

fn dataset(d: &PublishedDataSet) -> TableDataSet {
    let n = d.n_val;
    let all = || d.cells.iter().map(|(_, _, range)| *range);
    let k = d.cells.len();
    let share = |sum: u64| sum as f64 / (k as u64 * n) as f64;
    let middle = share(all().map(|(low, high)| low + high).sum()) / 2.0;
    let lowest = share(all().map(|(low, _)| low).sum());
    let most = |values: &mut dyn Iterator<Item = u64>| values.max().unwrap_or(0);
    let least = |values: &mut dyn Iterator<Item = u64>| values.min().unwrap_or(0);
    let lows = (least(&mut all().map(|r| r.0)), most(&mut all().map(|r| r.0)));
    let highs = (least(&mut all().map(|r| r.1)), most(&mut all().map(|r| r.1)));
    let range = (lows.1.saturating_sub(highs.0), widest(d));
    TableDataSet {
        name: d.name.clone(),
        n_val: n,
        cells: d
            .cells
            .iter()
            .map(|(loss, printed, range)| cell(*loss, printed, *range, n))
            .collect(),
        pairs: (0..k)
            .flat_map(|i| (i + 1..k).map(move |j| (i, j)))
            .map(|(i, j)| pair(d, i, j))
            .collect(),
        binomial_sd: (middle * (1.0 - middle) / n as f64).sqrt(),
        range,
        chance_of_range: (
            chance_of_range(n, middle, k, range.1),
            chance_of_range(n, middle, k, range.0),
        ),
        chance_of_range_at_lowest: chance_of_range(n, lowest, k, lows.1 - lows.0),
    }
}

/// Largest difference of two cells' counts; a cell has one count, so its own spread is no range.
fn widest(d: &PublishedDataSet) -> u64 {
    let pairs = d.cells.iter().enumerate().flat_map(|(i, a)| {
        d.cells.iter().skip(i + 1).map(move |b| widest_gap(a.2, b.2).unsigned_abs())
    });
    pairs.max().unwrap_or(0)
}

/// The gap a − b of the largest size that fits, with its sign.
fn widest_gap(a: Counts, b: Counts) -> i64 {
    let (up, down) = (a.1 as i64 - b.0 as i64, a.0 as i64 - b.1 as i64);
    if up.abs() >= down.abs() { up } else { down }
}

fn cell(loss: usize, printed: &str, (low, high): (u64, u64), n: u64) -> Cell {
    let whole = Interval { low: 0.0, high: 1.0 };
    let wilson = |k| wilson(k, n, CONFIDENCE).map_or(whole, Interval::from);
    let exact = |k| clopper_pearson(k, n, CONFIDENCE).ok().map(Interval::from);
    Cell {
        loss,
        printed: printed.to_owned(),
        low,
        high,
        wilson: (wilson(low), wilson(high)),
        clopper_pearson: exact(low).zip(exact(high)),
    }
}

fn pair(d: &PublishedDataSet, i: usize, j: usize) -> TablePair {
    let (n, (a_loss, _, a), (b_loss, _, b)) = (d.n_val, &d.cells[i], &d.cells[j]);
    let gap = widest_gap(*a, *b).unsigned_abs();
    let smallest = mcnemar(gap, 0);
    let p_largest = largest_p(*a, *b, n);
    TablePair {
        a: *a_loss,
        b: *b_loss,
        p_smallest: smallest.p_exact,
        p_largest,
        mid_p_smallest: smallest.p_mid,
        fisher_p_smallest: fisher(a.1, b.0, n).min(fisher(a.0, b.1, n)),
        largest_gap: gap,
        outcome: outcome(smallest.p_exact, p_largest),
        images_needed: images_needed(gap, n),
    }
}

fn outcome(smallest: f64, largest: f64) -> Outcome {
    if smallest > ALPHA {
        Outcome::CannotBeDistinguished
    } else if largest > ALPHA {
        Outcome::NotDecidable
    } else {
        Outcome::RunsDiffer
    }
}

/// Largest exact p: counts as close as they fit, and as many images as possible that only one of the two has right.
fn largest_p(a: Counts, b: Counts, n: u64) -> f64 {
    let (a, b) = if a.0 > b.1 {
        (a.0, b.1)
    } else if b.0 > a.1 {
        (a.1, b.0)
    } else {
        return 1.0;
    };
    let both = (a + b).saturating_sub(n);
    mcnemar(a - both, b - both).p_exact
}

fn images_needed(gap: u64, n: u64) -> Vec<ImagesNeeded> {
    let gap = (gap as f64 / n as f64 * 1e4).round() / 1e4;
    let needed = |disagreement| {
        let images = examples_for_mcnemar(gap, disagreement, ALPHA, POWER).ok()?.ceil() as u64;
        Some(ImagesNeeded { gap, disagreement, images })
    };
    DISAGREEMENTS.into_iter().filter_map(needed).collect()
}

fn pooled(table: &PublishedTable) -> Vec<PooledPair> {
    let k = table.losses.len();
    let cell = |d: &PublishedDataSet, loss| d.cells.iter().find(|c| c.0 == loss).map(|c| c.2);
    let pairs = (0..k).flat_map(|a| (a + 1..k).map(move |b| (a, b)));
    pairs
        .filter_map(|(a, b)| {
            let both: Vec<_> =
                table.datasets.iter().filter_map(|d| cell(d, a).zip(cell(d, b))).collect();
            // Once with every data set as far towards a as it can be, once towards b.
            let towards = |gap: fn(&(Counts, Counts)) -> i64| {
                let gaps = || both.iter().map(gap);
                let up: i64 = gaps().map(|g| g.max(0)).sum();
                let down: i64 = gaps().map(|g| (-g).max(0)).sum();
                mcnemar(up as u64, down as u64)
            };
            let ends = [
                towards(|(a, b)| a.1 as i64 - b.0 as i64),
                towards(|(a, b)| a.0 as i64 - b.1 as i64),
            ];
            let p_smallest = ends[0].p_exact.min(ends[1].p_exact);
            (both.len() >= 2).then(|| PooledPair {
                a,
                b,
                datasets: both.len(),
                p_smallest,
                mid_p_smallest: ends[0].p_mid.min(ends[1].p_mid),
                outcome: outcome(p_smallest, 1.0),
            })
        })
        .collect()
}

fn ranks(table: &PublishedTable) -> Option<RankTest> {
    let k = table.losses.len();
    let rows: Option<Vec<Vec<f64>>> = table
        .datasets
        .iter()
        .map(|d| {
            let printed = |loss| d.cells.iter().find(|c| c.0 == loss)?.1.parse().ok();
            (0..k).map(printed).collect()
        })
        .collect();
    let rows = rows?;
    let test = friedman(&rows, true).ok()?;
    let all = rows.iter().try_fold(1u64, |all, row| all.checked_mul(arrangements(row)?));
    Some(RankTest {
        mean_ranks: test.avg_ranks,
        chi2: test.chi2.ok(),
        p_chi2: test.p_chi2.ok(),
        p_iman_davenport: test.p_f.ok(),
        p_exact: test.p_exact.ok(),
        // Below 2^53 a count is a whole number in f64; above it says nothing to anybody.
        arrangements: (test.p_exact.ok().zip(all))
            .filter(|(_, all)| *all < 1 << 53)
            .map(|(p, all)| ((p * all as f64).round() as u64, all)),
    })
}

/// Distinct orders of a row: k! over the product of the factorials of its ties.
fn arrangements(row: &[f64]) -> Option<u64> {
    let mut sorted = row.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (mut out, mut run) = (1u64, 0u64);
    for (i, value) in sorted.iter().enumerate() {
        run = if i > 0 && sorted[i - 1] == *value { run + 1 } else { 1 };
        // i + 1 choose run, built up one at a time, divides evenly
        out = out.checked_mul(i as u64 + 1)? / run;
    }
    Some(out)
}

/// P(largest − smallest ≥ `range`) of k independent counts, each Bin(n, `share`).
///
/// P(range < r) = sum over m of P(all in m..m+r) − P(all in m+1..m+r): each set of counts once, by its smallest.
fn chance_of_range(n: u64, share: f64, k: usize, range: u64) -> f64 {
    if range == 0 {
        return 1.0;
    }
    if k < 2 || share <= 0.0 || share >= 1.0 {
        return 0.0;
    }
    // Logs by the ratio of neighbours, from the mode outwards: no underflow at a million images.
    let mode = ((n as f64 + 1.0) * share).floor().min(n as f64) as usize;
    let odds = share / (1.0 - share);
    let mut pmf = vec![0.0f64; n as usize + 1];
    pmf[mode] = 1.0;
    for x in mode..n as usize {
        pmf[x + 1] = pmf[x] * (n as f64 - x as f64) / (x as f64 + 1.0) * odds;
    }
    for x in (0..mode).rev() {
        pmf[x] = pmf[x + 1] * (x as f64 + 1.0) / (n as f64 - x as f64) / odds;
    }
    let total: f64 = pmf.iter().sum();
    let mut below = vec![0.0];
    for p in &pmf {
        below.push(below[below.len() - 1] + p / total);
    }
    let within = |from: usize, to: usize| below[to.min(pmf.len())] - below[from.min(pmf.len())];
    let less: f64 = (0..pmf.len())
        .map(|m| {
            let end = m + range as usize;
            within(m, end).powi(k as i32) - within(m + 1, end.max(m + 1)).powi(k as i32)
        })
        .sum();
    (1.0 - less).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;

    use super::*;

    fn pairs_that_fit(a: Counts, b: Counts, n: u64) -> Vec<(u64, u64)> {
        let mut out = Vec::new();
        for a in a.0..=a.1 {
            for b in b.0..=b.1 {
                for both in (a + b).saturating_sub(n)..=a.min(b) {
                    out.push((a - both, b - both));
                }
            }
        }
        out
    }

    #[test]
    fn bounds_equal_enumeration_of_every_joint_outcome() {
        let n = 24;
        for (a, b) in [
            ((3, 5), (9, 10)),
            ((9, 10), (20, 24)),
            ((7, 8), (8, 9)),
            ((0, 1), (24, 24)),
            ((22, 22), (22, 22)),
        ] {
            let d = PublishedDataSet {
                name: String::new(),
                n_val: n,
                cells: vec![(0, String::new(), a), (1, String::new(), b)],
            };
            let got = pair(&d, 0, 1);
            let all = pairs_that_fit(a, b, n);
            let p = || all.iter().map(|(x, y)| mcnemar(*x, *y));
            let least = p().map(|m| m.p_exact).fold(1.0, f64::min);
            let most = p().map(|m| m.p_exact).fold(0.0, f64::max);
            let mid = p().map(|m| m.p_mid).fold(1.0, f64::min);
            assert_abs_diff_eq!(got.p_smallest, least, epsilon = 1e-12);
            assert_abs_diff_eq!(got.p_largest, most, epsilon = 1e-12);
            assert_abs_diff_eq!(got.mid_p_smallest, mid, epsilon = 1e-12);
            let counts = (a.0..=a.1).flat_map(|a| (b.0..=b.1).map(move |b| (a, b)));
            let independent = counts.map(|(a, b)| fisher(a, b, n)).fold(1.0, f64::min);
            assert_abs_diff_eq!(got.fisher_p_smallest, independent, epsilon = 1e-12);
        }
    }

    #[test]
    fn the_pooled_bound_equals_enumeration() {
        let cells = [((221, 222), (219, 220)), ((53, 53), (55, 55)), ((60, 60), (62, 62))];
        let (mut exact, mut mid) = (1.0f64, 1.0f64);
        let sizes = [226, 60, 66];
        let fits: Vec<_> = cells
            .iter()
            .zip(sizes)
            .map(|((a, b), n)| {
                // Few disagreements suffice: more of them only raise p.
                pairs_that_fit(*a, *b, n)
                    .into_iter()
                    .filter(|(x, y)| x.min(y) <= &2)
                    .collect::<Vec<_>>()
            })
            .collect();
        for x in &fits[0] {
            for y in &fits[1] {
                for z in &fits[2] {
                    let m = mcnemar(x.0 + y.0 + z.0, x.1 + y.1 + z.1);
                    (exact, mid) = (exact.min(m.p_exact), mid.min(m.p_mid));
                }
            }
        }
        let table = PublishedTable {
            title: String::new(),
            unit: super::super::Unit::Percent,
            losses: vec!["a".to_owned(), "b".to_owned()],
            datasets: cells
                .iter()
                .zip(sizes)
                .map(|((a, b), n)| PublishedDataSet {
                    name: n.to_string(),
                    n_val: n,
                    cells: vec![(0, "1".to_owned(), *a), (1, "2".to_owned(), *b)],
                })
                .collect(),
        };
        let got = &pooled(&table)[0];
        assert_abs_diff_eq!(got.p_smallest, exact, epsilon = 1e-12);
        assert_abs_diff_eq!(got.mid_p_smallest, mid, epsilon = 1e-12);
        assert_abs_diff_eq!(got.p_smallest, 0.375, epsilon = 1e-12);
    }

    #[test]
    fn the_chance_of_a_range_equals_enumeration() {
        let (n, share) = (6u64, 0.7f64);
        let pmf: Vec<f64> = (0..=n)
            .map(|x| {
                let ways = (0..x).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
                ways * share.powi(x as i32) * (1.0 - share).powi((n - x) as i32)
            })
            .collect();
        for range in 0..=n {
            let mut want = 0.0;
            for x in 0..=n {
                for y in 0..=n {
                    for z in 0..=n {
                        if x.max(y).max(z) - x.min(y).min(z) >= range {
                            want += pmf[x as usize] * pmf[y as usize] * pmf[z as usize];
                        }
                    }
                }
            }
            assert_abs_diff_eq!(chance_of_range(n, share, 3, range), want, epsilon = 1e-12);
        }
        let far = chance_of_range(1_000_000, 0.97, 3, 2000);
        assert!(far > 0.0 && far < 1e-10, "{far}");
    }

    #[test]
    fn tied_rows_have_fewer_arrangements() {
        let of = |row: &[f64]| arrangements(row).unwrap();
        assert_eq!((of(&[98.0, 97.0, 97.0]), of(&[1.0, 2.0, 3.0]), of(&[5.0, 5.0])), (3, 6, 1));
        assert_eq!(of(&[1.0, 1.0, 2.0, 2.0]), 6);
    }
}
