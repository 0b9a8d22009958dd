//! The one source of random numbers in training: a generator keyed by names and numbers.
//!
//! A stream depends on its key alone — (seed, "weights", parameter name), (seed, epoch, example) — never on who drew before, on the
//! slot or on the order of runs; so a run is the same alone, after others, and beside others. burn's generator is global to the
//! process and is not used. Not for secrets.

/// A generator with 64 bits of state (`SplitMix64`: Steele, Lea, Flood 2014) that starts where its key says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRng {
    state: u64,
}

/// The generator's step, 2⁶⁴ divided by the golden ratio.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The output function of `SplitMix64`: a bijection that spreads every input bit over all output bits.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl KeyedRng {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: mix(seed.wrapping_add(STEP)) }
    }

    /// The stream under this one named `name`; drawing from either does not change the other.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        let bytes = name.as_bytes();
        // The length goes in too, so that a name's last word padded with zeros is another name.
        let mut state = mix(self.state ^ mix((bytes.len() as u64).wrapping_add(STEP)));
        for word in bytes.chunks(8) {
            let mut padded = [0; 8];
            padded[..word.len()].copy_from_slice(word);
            state = mix(state.wrapping_add(STEP) ^ u64::from_le_bytes(padded));
        }
        Self { state }
    }

    /// The stream under this one with the number `number`, such as an epoch or an example.
    #[must_use]
    pub fn numbered(&self, number: u64) -> Self {
        Self {
            state: mix(
                mix(self.state.wrapping_add(STEP)) ^ number.wrapping_mul(STEP).wrapping_add(1)
            ),
        }
    }

    /// The stream after its next `draws` numbers of 64 bits.
    #[must_use]
    pub fn skipping(&self, draws: u64) -> Self {
        Self { state: self.state.wrapping_add(STEP.wrapping_mul(draws)) }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// A number uniform in [0, 1), a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A number uniform in [`low`, `high`).
    pub fn uniform_in(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A whole number uniform in 0..`bound` without bias; `bound` must be positive.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is no whole number below 0");
        // Lemire 2019: the high half of a product, refusing the few low halves that would favour some results.
        let refuse_below = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= refuse_below {
                return (product >> 64) as u64;
            }
        }
    }

    /// A number from the standard normal distribution (Box–Muller; `libm`, so the same on every platform).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        radius * libm::cos(2.0 * std::f64::consts::PI * self.uniform())
    }

    /// Puts `items` into a uniformly random order (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // First outputs for state 1234567, from the reference implementation (Vigna, prng.di.unimi.it).
        let mut rng = KeyedRng { state: 1_234_567 };
        assert_eq!(
            [rng.next_u64(), rng.next_u64()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]
        );
    }

    #[test]
    fn a_stream_depends_on_its_key_and_not_on_other_draws() {
        let root = KeyedRng::new(7);
        let mut drawn = root.clone();
        drawn.next_u64();
        assert_eq!(root.named("a").next_u64(), KeyedRng::new(7).named("a").next_u64());
        let keys = [
            KeyedRng::new(7),
            KeyedRng::new(8),
            root.named("a"),
            root.named("b"),
            root.named("a\0"),
            root.named(""),
            root.numbered(0),
            root.numbered(1),
            root.numbered(1).numbered(0),
            root.numbered(0).numbered(1),
        ];
        let mut first: Vec<u64> = keys.into_iter().map(|mut key| key.next_u64()).collect();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 10);
    }

    #[test]
    fn skipping_lands_where_drawing_does() {
        let mut drawn = KeyedRng::new(3).named("x");
        let start = drawn.clone();
        (0..1000).for_each(|_| _ = drawn.normal());
        assert_eq!(start.skipping(2 * 1000), drawn, "a normal number takes two draws");
        drawn.uniform();
        assert_eq!(start.skipping(2001), drawn);
    }

    #[test]
    fn draws_have_the_moments_of_their_distribution() {
        let mut rng = KeyedRng::new(1).named("moments");
        let count = 100_000;
        let uniform: f64 = (0..count).map(|_| rng.uniform()).sum::<f64>() / f64::from(count);
        assert!((uniform - 0.5).abs() < 0.005, "{uniform}");
        let normals: Vec<f64> = (0..count).map(|_| rng.normal()).collect();
        let mean = normals.iter().sum::<f64>() / f64::from(count);
        let variance = normals.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(count);
        assert!(mean.abs() < 0.015 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
        let mut seen = [0u32; 5];
        (0..count).for_each(|_| seen[rng.below(5) as usize] += 1);
        assert!(seen.iter().all(|&n| n.abs_diff(20_000) < 600), "{seen:?}");
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..100).collect();
        KeyedRng::new(3).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
