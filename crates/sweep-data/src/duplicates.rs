//! Equal pictures: who equals whom, what crosses the parts, and what the policy of the manifest does about it.

use std::collections::{BTreeMap, HashSet};

use crate::part::Part;

/// Groups of two or more equal keys as indices, each in rising order, groups in order of their first member.
pub(crate) fn groups<K: Ord>(keys: impl Iterator<Item = K>) -> Vec<Vec<usize>> {
    let mut by_key: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for (i, key) in keys.enumerate() {
        by_key.entry(key).or_default().push(i);
    }
    let mut groups: Vec<Vec<usize>> =
        by_key.into_values().filter(|group| group.len() > 1).collect();
    groups.sort_unstable();
    groups
}

/// Indices of the validation images whose equal is in train, rising.
pub(crate) fn leaked<K: Eq + std::hash::Hash>(images: &[(K, Part)]) -> Vec<usize> {
    crossing(images, Part::Val)
}

/// Indices of the training images whose equal is in val, rising.
pub(crate) fn to_drop<K: Eq + std::hash::Hash>(images: &[(K, Part)]) -> Vec<usize> {
    crossing(images, Part::Train)
}

/// Images of `part` whose equal is in the other part.
fn crossing<K: Eq + std::hash::Hash>(images: &[(K, Part)], part: Part) -> Vec<usize> {
    let other: HashSet<&K> =
        images.iter().filter(|(_, p)| *p != part).map(|(key, _)| key).collect();
    (0..images.len()).filter(|i| images[*i].1 == part && other.contains(&images[*i].0)).collect()
}

/// "6 of 66 validation images (9.1 %) are also in train".
pub(crate) fn leak_text(leaked: usize, val: usize) -> String {
    let share = 100.0 * leaked as f64 / val.max(1) as f64;
    let verb = if leaked == 1 { "is" } else { "are" };
    format!("{leaked} of {val} validation images ({share:.1} %) {verb} also in train")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_all_equal_members_and_no_single_ones() {
        assert_eq!(groups([1, 2, 1, 3, 2, 1].into_iter()), [vec![0, 2, 5], vec![1, 4]]);
    }

    #[test]
    fn only_pictures_in_both_parts_leak() {
        let images = [
            ('a', Part::Train),
            ('a', Part::Train),
            ('b', Part::Val),
            ('c', Part::Val),
            ('b', Part::Train),
        ];
        assert_eq!(leaked(&images), [2]);
        assert_eq!(to_drop(&images), [4]);
        assert_eq!(leak_text(6, 66), "6 of 66 validation images (9.1 %) are also in train");
    }
}
