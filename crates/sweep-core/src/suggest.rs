//! "Did you mean": the known word closest to a mistyped one. Not for accepting it: whoever asks still refuses the word.
//!
//! Callers say how far a slip may go, because they know what is at stake: keys of a sweep file are many and alike, names of a
//! person's classes are few.

/// Longest word, in bytes, that anything is suggested for; beyond, it is no slip, and the work grows with its square.
const LONGEST: usize = 64;

/// The word of `known` with the fewest edits from `word`, if there are at most `limit(characters of word)`; of equally near words
/// the first.
///
/// Words are compared in lower case. `None` for words above 64 bytes.
///
/// ```
/// use sweep_core::suggest::nearest;
/// assert_eq!(nearest("weathr", ["fruits", "weather"], |n| n / 3), Some("weather"));
/// assert_eq!(nearest("zebra", ["fruits", "weather"], |n| n / 3), None);
/// ```
pub fn nearest<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
    limit: impl FnOnce(usize) -> usize,
) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase();
    let limit = limit(word.chars().count());
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= 2 * LONGEST)
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words: insertions, deletions, replacements, swaps of neighbours (optimal string alignment).
///
/// Time and memory grow with the product of the lengths.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_neighbours_are_one_step_apart() {
        assert_eq!(distance("marign", "margin"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn the_limit_of_the_caller_holds() {
        assert_eq!(nearest("ab", ["abcd"], |_| 1), None);
        assert_eq!(nearest("ab", ["abcd"], |_| 2), Some("abcd"));
    }

    #[test]
    fn very_long_words_are_not_looked_at() {
        let long = "a".repeat(65);
        assert_eq!(nearest(&long, [long.as_str()], |n| n), None);
    }
}
