//! Train and val: who is fitted to and who is measured on. Content decides, never a file's name or the order of a listing.

use std::collections::BTreeMap;

use sweep_core::canonical;
use sweep_core::ids::Digest;

use crate::hash::Sha256;
use crate::manifest::Amount;
use crate::part::Part;
use crate::rng::KeyedRng;

/// What a split looks at. `equal` is the same for equal pictures and for no others.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) path: String,
    pub(crate) label: u32,
    pub(crate) sha256: Sha256,
    pub(crate) equal: [u8; 32],
}

/// How many of `n` images train.
pub(crate) fn train_count(amount: Amount, n: usize) -> usize {
    match amount {
        Amount::PartsPerMillion(parts) => (u128::from(parts) * n as u128 / 1_000_000) as usize,
        Amount::PerClass(count) => count as usize,
    }
}

/// The part of every candidate. Each class is put in order of (sha256, path), shuffled by (seed, class name) and cut.
///
/// With `together`, equal pictures follow the first of them, also across classes; counts may then differ by less than a group.
pub(crate) fn stratified(
    candidates: &[Candidate],
    classes: &[String],
    amount: Amount,
    seed: u64,
    together: bool,
) -> Vec<Part> {
    let mut parts = vec![Part::Val; candidates.len()];
    let mut settled: BTreeMap<[u8; 32], Part> = BTreeMap::new();
    for (label, class) in (0..).zip(classes) {
        let mut order: Vec<usize> =
            (0..candidates.len()).filter(|i| candidates[*i].label == label).collect();
        order.sort_by(|a, b| key(&candidates[*a]).cmp(&key(&candidates[*b])));
        KeyedRng::new("split", &[&seed.to_le_bytes(), class.as_bytes()]).shuffle(&mut order);
        let wanted = train_count(amount, order.len());
        if !together {
            order.iter().take(wanted).for_each(|i| parts[*i] = Part::Train);
            continue;
        }
        let settled_train = |settled: &BTreeMap<_, _>, i: &usize| {
            settled.get(&candidates[*i].equal) == Some(&Part::Train)
        };
        let mut training = order.iter().filter(|i| settled_train(&settled, i)).count();
        for i in order {
            let equal = candidates[i].equal;
            let part = *settled.entry(equal).or_insert_with(|| {
                if training < wanted {
                    training +=
                        candidates.iter().filter(|c| c.label == label && c.equal == equal).count();
                    Part::Train
                } else {
                    Part::Val
                }
            });
            parts[i] = part;
        }
    }
    parts
}

fn key(candidate: &Candidate) -> (Sha256, &str) {
    (candidate.sha256, &candidate.path)
}

/// Digest of the sorted list of (content hash, class, part).
pub(crate) fn digest<'a>(images: impl Iterator<Item = (Sha256, &'a str, Part)>) -> Digest {
    let mut list: Vec<(String, &str, &str)> =
        images.map(|(sha, class, part)| (sha.to_string(), class, part.name())).collect();
    list.sort_unstable();
    canonical::digest(&list)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidates(per_class: &[usize]) -> (Vec<Candidate>, Vec<String>) {
        let mut out = Vec::new();
        for (label, n) in (0..).zip(per_class) {
            for i in 0..*n {
                let sha256 = Sha256::of(format!("{label} {i}").as_bytes());
                out.push(Candidate {
                    path: format!("{label}/{i}"),
                    label,
                    sha256,
                    equal: sha256.0,
                });
            }
        }
        (out, (0..per_class.len()).map(|c| format!("class {c}")).collect())
    }

    fn train_per_class(candidates: &[Candidate], parts: &[Part], classes: usize) -> Vec<usize> {
        let count = |label| {
            candidates
                .iter()
                .zip(parts)
                .filter(|(c, p)| c.label == label && **p == Part::Train)
                .count()
        };
        (0..classes as u32).map(count).collect()
    }

    #[test]
    fn floor_train_gives_the_counts_of_the_study() {
        let share = Amount::PartsPerMillion(800_000);
        assert_eq!([300, 215, 253, 357].map(|n| train_count(share, n)), [240, 172, 202, 285]);
        assert_eq!([300, 214, 252, 357].map(|n| train_count(share, n)), [240, 171, 201, 285]);
        assert_eq!(
            train_count(Amount::PartsPerMillion(290_000), 100),
            29,
            "0.29 · 100 is 28.99… in f64"
        );
    }

    #[test]
    fn another_seed_gives_another_split_of_the_same_counts() {
        let (images, classes) = candidates(&[50, 30]);
        let split =
            |seed| stratified(&images, &classes, Amount::PartsPerMillion(800_000), seed, false);
        assert_ne!(split(1), split(2));
        assert_eq!(train_per_class(&images, &split(1), 2), [40, 24]);
        assert_eq!(train_per_class(&images, &split(2), 2), [40, 24]);
    }

    #[test]
    fn equal_pictures_kept_together_share_their_part() {
        let (mut images, classes) = candidates(&[20, 20]);
        for (a, b) in [(0, 1), (1, 2), (5, 25), (30, 31)] {
            images[b].equal = images[a].equal;
        }
        for seed in 0..50 {
            let parts = stratified(&images, &classes, Amount::PartsPerMillion(500_000), seed, true);
            for (a, b) in [(0, 1), (0, 2), (5, 25), (30, 31)] {
                assert_eq!(parts[a], parts[b], "seed {seed}");
            }
            for count in train_per_class(&images, &parts, 2) {
                assert!((10..=12).contains(&count), "{count}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_order_of_a_listing_changes_nothing(seed: u64, shuffle_seed: u64) {
            let (images, classes) = candidates(&[13, 8, 21]);
            let mut shuffled: Vec<usize> = (0..images.len()).collect();
            KeyedRng::new("test", &[&shuffle_seed.to_le_bytes()]).shuffle(&mut shuffled);
            let again: Vec<Candidate> = shuffled.iter().map(|i| images[*i].clone()).collect();
            let amount = Amount::PartsPerMillion(700_000);
            let parts = stratified(&images, &classes, amount, seed, false);
            let parts_again = stratified(&again, &classes, amount, seed, false);
            for (at, i) in shuffled.iter().enumerate() {
                prop_assert_eq!(parts[*i], parts_again[at]);
            }
        }
    }
}
