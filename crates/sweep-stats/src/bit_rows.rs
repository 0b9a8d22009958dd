//! Correctness of one configuration: one packed bit row per seed, with row and column sums.
//!
//! The sums are kept per configuration, so that a pair of configurations costs S·⌈N/64⌉ XORs and
//! S + N subtractions (see [`crate::crossed`]). Not a store format: bytes come in as they are
//! stored, least significant bit first.

use crate::missing::{Known, Missing};

/// S seeds × N examples of right (1) and wrong (0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BitRows {
    examples: usize,
    words_per_row: usize,
    words: Vec<u64>,
    row_sums: Vec<i64>,
    column_sums: Vec<i64>,
}

impl BitRows {
    /// Rows as packed bytes, example i in bit `i mod 8` of byte `i/8`; `⌈examples/8⌉` bytes each.
    /// Bits beyond the last example are ignored.
    ///
    /// # Errors
    /// [`Missing::UnequalLengths`] when a row has another number of bytes.
    pub fn from_bytes<R: AsRef<[u8]>>(rows: &[R], examples: usize) -> Known<BitRows> {
        let mut words = Vec::with_capacity(rows.len() * examples.div_ceil(64));
        for row in rows {
            let row = row.as_ref();
            if row.len() != examples.div_ceil(8) {
                return Err(Missing::UnequalLengths {
                    left: row.len(),
                    right: examples.div_ceil(8),
                });
            }
            words.extend(row.chunks(8).map(|chunk| {
                chunk.iter().rev().fold(0u64, |word, &byte| (word << 8) | u64::from(byte))
            }));
        }
        Ok(BitRows::build(words, rows.len(), examples))
    }

    /// Rows as booleans, all of the same length.
    ///
    /// # Errors
    /// [`Missing::UnequalLengths`] when the rows differ in length.
    pub fn from_bools<R: AsRef<[bool]>>(rows: &[R]) -> Known<BitRows> {
        let examples = rows.first().map_or(0, |r| r.as_ref().len());
        let mut words = Vec::with_capacity(rows.len() * examples.div_ceil(64));
        for row in rows {
            let row = row.as_ref();
            if row.len() != examples {
                return Err(Missing::UnequalLengths { left: examples, right: row.len() });
            }
            words.extend(row.chunks(64).map(|chunk| {
                chunk.iter().rev().fold(0u64, |word, &bit| (word << 1) | u64::from(bit))
            }));
        }
        Ok(BitRows::build(words, rows.len(), examples))
    }

    fn build(mut words: Vec<u64>, rows: usize, examples: usize) -> BitRows {
        let words_per_row = examples.div_ceil(64);
        let mut row_sums = vec![0i64; rows];
        let mut column_sums = vec![0i64; examples];
        if words_per_row > 0 {
            for (row, sum) in words.chunks_mut(words_per_row).zip(&mut row_sums) {
                if !examples.is_multiple_of(64) {
                    row[words_per_row - 1] &= (1 << (examples % 64)) - 1;
                }
                for (word, columns) in row.iter().zip(column_sums.chunks_mut(64)) {
                    *sum += i64::from(word.count_ones());
                    for (bit, column) in columns.iter_mut().enumerate() {
                        *column += (word >> bit & 1) as i64;
                    }
                }
            }
        }
        BitRows { examples, words_per_row, words, row_sums, column_sums }
    }

    /// The rows at `seeds`, in that order (the common seeds of a pair, for instance).
    ///
    /// # Errors
    /// [`Missing::OutOfRange`] when a row does not exist.
    pub fn select(&self, seeds: &[usize]) -> Known<BitRows> {
        if seeds.iter().any(|&s| s >= self.seeds()) {
            return Err(Missing::OutOfRange("seed row beyond the last"));
        }
        let words = seeds.iter().flat_map(|&s| self.row(s).iter().copied()).collect();
        Ok(BitRows::build(words, seeds.len(), self.examples))
    }

    /// Number of rows S.
    pub fn seeds(&self) -> usize {
        self.row_sums.len()
    }

    /// Number of columns N.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// Correct examples of each seed: the counts of the seed-wise tests.
    pub fn row_sums(&self) -> &[i64] {
        &self.row_sums
    }

    /// Seeds that have each example right.
    pub fn column_sums(&self) -> &[i64] {
        &self.column_sums
    }

    /// True when `seed` has `example` right; false outside.
    pub fn get(&self, seed: usize, example: usize) -> bool {
        seed < self.seeds()
            && example < self.examples
            && self.row(seed)[example / 64] >> (example % 64) & 1 == 1
    }

    /// Examples only `self` has right and examples only `other` has right, for one row each: the
    /// discordant cells of `McNemar`'s test. `None` when a row does not exist or N differs.
    pub fn discordant(
        &self,
        seed: usize,
        other: &BitRows,
        other_seed: usize,
    ) -> Option<(u64, u64)> {
        if seed >= self.seeds() || other_seed >= other.seeds() || self.examples != other.examples {
            return None;
        }
        let cells = self.row(seed).iter().zip(other.row(other_seed));
        Some(cells.fold((0, 0), |(only_self, only_other), (a, b)| {
            (
                only_self + u64::from((a & !b).count_ones()),
                only_other + u64::from((b & !a).count_ones()),
            )
        }))
    }

    /// Number of cells in which two matrices of the same shape differ.
    pub(crate) fn cells_apart(&self, other: &BitRows) -> i64 {
        self.words.iter().zip(&other.words).map(|(a, b)| i64::from((a ^ b).count_ones())).sum()
    }

    fn row(&self, seed: usize) -> &[u64] {
        &self.words[seed * self.words_per_row..(seed + 1) * self.words_per_row]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_booleans_give_the_same_rows_and_sums() {
        let bools: Vec<Vec<bool>> =
            (0..3).map(|s| (0..130).map(|i| (i * 7 + s * 3) % 5 != 0).collect()).collect();
        let bytes: Vec<Vec<u8>> = bools
            .iter()
            .map(|row| {
                row.chunks(8)
                    .map(|c| c.iter().enumerate().map(|(i, &b)| u8::from(b) << i).sum())
                    .collect()
            })
            .collect();
        let rows = BitRows::from_bools(&bools).unwrap();
        assert_eq!(rows, BitRows::from_bytes(&bytes, 130).unwrap());
        let count = |row: &Vec<bool>| row.iter().filter(|&&b| b).count() as i64;
        assert_eq!(rows.row_sums(), bools.iter().map(count).collect::<Vec<_>>());
        let column = |i: usize| bools.iter().filter(|row| row[i]).count() as i64;
        assert_eq!(rows.column_sums(), (0..130).map(column).collect::<Vec<_>>());
        assert!((0..130).all(|i| rows.get(1, i) == bools[1][i]));
        let picked = rows.select(&[2, 0]).unwrap();
        assert_eq!(picked.row_sums(), [rows.row_sums()[2], rows.row_sums()[0]]);
    }

    #[test]
    fn padding_bits_are_ignored() {
        let rows = BitRows::from_bytes(&[[0xFFu8]], 3).unwrap();
        assert_eq!(rows.row_sums(), [3]);
    }

    #[test]
    fn wrong_shapes_are_refused() {
        assert!(BitRows::from_bytes(&[[0u8; 2]], 3).is_err());
        assert!(BitRows::from_bools(&[vec![true], vec![true, false]]).is_err());
        assert!(BitRows::from_bytes::<[u8; 0]>(&[], 0).is_ok());
        assert!(BitRows::from_bytes(&[[0u8; 1]], 3).unwrap().select(&[1]).is_err());
    }

    #[test]
    fn discordant_cells_are_those_of_mcnemar() {
        let a = BitRows::from_bools(&[[true, true, false, false, true]]).unwrap();
        let b = BitRows::from_bools(&[[true, false, true, false, false]]).unwrap();
        assert_eq!(a.discordant(0, &b, 0), Some((2, 1)));
        assert_eq!(a.discordant(1, &b, 0), None);
    }
}
