//! How many seeds a paired t test would need, for thousands of comparisons at once.
//!
//! The power is `sweep-stats`'s; here is only the search, which remembers for each number of seeds which ratios of difference to
//! standard deviation are known to suffice. The answer does not depend on the order of the questions.

use std::cell::RefCell;

use sweep_stats::power::power_paired_t;

use crate::numbers::POWER;

/// Seeds beyond this are no plan; [`Planner::seeds`] then answers one more.
pub(crate) const MOST: u64 = 1000;

/// Up to here every number of seeds is tried, then steps of one percent: "about 240 seeds" is no more exact than that.
const EACH: u64 = 100;

/// Seeds for one level.
pub(crate) struct Planner {
    level: f64,
    grid: Vec<u64>,
    /// Per grid point: the largest ratio known to be too small and the smallest known to suffice.
    known: RefCell<Vec<(f64, f64)>>,
}

impl Planner {
    /// For two-sided tests at `level`, which is α/m.
    pub(crate) fn new(level: f64) -> Self {
        let mut grid: Vec<u64> = (2..=EACH).collect();
        while let Some(last) = grid.last().copied().filter(|last| *last < MOST) {
            grid.push((last + last.div_ceil(100)).min(MOST));
        }
        let known = RefCell::new(vec![(0.0, f64::INFINITY); grid.len()]);
        Self { level, grid, known }
    }

    /// Smallest number of pairs that has the power for a difference of `ratio` standard deviations; [`MOST`] + 1 for more.
    pub(crate) fn seeds(&self, ratio: f64) -> u64 {
        let at = self.first(ratio);
        self.grid.get(at).copied().unwrap_or(MOST + 1)
    }

    fn first(&self, ratio: f64) -> usize {
        let (mut low, mut high) = (0, self.grid.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.enough(middle, ratio) { high = middle } else { low = middle + 1 }
        }
        low
    }

    fn enough(&self, at: usize, ratio: f64) -> bool {
        let (too_small, suffices) = self.known.borrow()[at];
        if ratio <= too_small || ratio >= suffices {
            return ratio >= suffices;
        }
        let enough =
            power_paired_t(ratio, 1.0, self.grid[at], self.level).is_ok_and(|p| p >= POWER);
        let known = &mut self.known.borrow_mut()[at];
        if enough {
            known.1 = ratio
        } else {
            known.0 = ratio
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_match_the_table_of_the_power_of_paired_tests() {
        // docs/statistics.md, "Power": α = .05 and α/11, difference and sd in points.
        let (one, eleven) = (Planner::new(0.05), Planner::new(0.05 / 11.0));
        for (ratio, at_one, at_eleven) in [
            (1.0 / 2.0, 34, 59),
            (1.0 / 1.5, 20, 35),
            (2.0 / 3.0, 20, 35),
            (2.0 / 1.5, 7, 12),
            (2.0, 5, 8),
            (4.0 / 1.5, 4, 6),
        ] {
            assert_eq!(
                (one.seeds(ratio), eleven.seeds(ratio)),
                (at_one, at_eleven),
                "ratio {ratio}"
            );
        }
        // 285 in the table; steps of one percent from 100 on.
        assert!((285..=288).contains(&one.seeds(0.5 / 3.0)));
        assert_eq!(one.seeds(0.01), MOST + 1);
    }

    #[test]
    fn the_order_of_the_questions_changes_no_answer() {
        let ratios: Vec<f64> = (1..400).map(|i| f64::from(i * 7919 % 400) / 130.0).collect();
        let forward = Planner::new(0.001);
        let answers: Vec<u64> = ratios.iter().map(|r| forward.seeds(*r)).collect();
        let backward = Planner::new(0.001);
        let mut reversed: Vec<u64> = ratios.iter().rev().map(|r| backward.seeds(*r)).collect();
        reversed.reverse();
        assert_eq!(answers, reversed);
    }
}
