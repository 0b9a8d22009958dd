//! The crate's own keyed random numbers, so that a split or an augmentation is a function of its key on every machine.
//!
//! Not for initial weights or batch order: those belong to training.

/// `SplitMix64` (Steele, Lea, Flood 2014) started from a blake3 hash of its key.
pub(crate) struct KeyedRng {
    state: u64,
}

impl KeyedRng {
    /// A generator for `purpose` and the parts of its key; parts are length-prefixed, so no two keys run together.
    pub(crate) fn new(purpose: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in std::iter::once(purpose.as_bytes()).chain(parts.iter().copied()) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut first = [0_u8; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Self { state: u64::from_le_bytes(first) }
    }

    /// 64 uniform bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0..`n`, without bias; `n` ≥ 1.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        let n = n.max(1);
        let reject_from = u64::MAX - u64::MAX % n;
        loop {
            let bits = self.bits();
            if bits < reject_from {
                return bits % n;
            }
        }
    }

    /// Uniform in [0, 1), 53 bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Fisher–Yates.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_concatenate_alike_differ() {
        let a = KeyedRng::new("t", &[b"ab", b"c"]).bits();
        let b = KeyedRng::new("t", &[b"a", b"bc"]).bits();
        assert_ne!(a, b);
    }

    #[test]
    fn numbers_below_three_are_even_over_many_draws() {
        let mut rng = KeyedRng::new("t", &[]);
        let mut counts = [0_u32; 3];
        for _ in 0..30_000 {
            counts[rng.below(3) as usize] += 1;
        }
        assert!(counts.iter().all(|c| (9_700..10_300).contains(c)), "{counts:?}");
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..100).collect();
        KeyedRng::new("t", &[]).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
