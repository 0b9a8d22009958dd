//! Draws for simulations, and a table that compares rates and counts with reference values.

use sweep_stats::rng::SplitMix64;

/// Consecutive draws of one stream.
pub(crate) struct Draws {
    rng: SplitMix64,
    next: u64,
}

impl Draws {
    pub(crate) fn new(seed: u64) -> Draws {
        Draws { rng: SplitMix64::new(seed), next: 0 }
    }

    fn advance(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Standard normal, by Φ⁻¹.
    pub(crate) fn normal(&mut self) -> f64 {
        let i = self.advance();
        self.rng.normal(i)
    }

    /// Standard logistic, by the logit.
    pub(crate) fn logistic(&mut self) -> f64 {
        let i = self.advance();
        let u = self.rng.uniform(i);
        (u / (1.0 - u)).ln()
    }

    /// Poisson, by inversion.
    pub(crate) fn poisson(&mut self, mean: f64) -> i64 {
        let i = self.advance();
        let u = self.rng.uniform(i);
        let (mut k, mut p) = (0, (-mean).exp());
        let mut cdf = p;
        while u > cdf && k < 1000 {
            k += 1;
            p *= mean / k as f64;
            cdf += p;
        }
        k
    }

    /// round(N(mean, sd)).
    pub(crate) fn rounded(&mut self, mean: f64, sd: f64) -> i64 {
        (mean + sd * self.normal()).round() as i64
    }
}

/// Compares simulated values with reference values and reports all misses at once.
#[derive(Default)]
pub(crate) struct Cells {
    seen: usize,
    misses: Vec<String>,
}

impl Cells {
    /// A rate over `n` replicates in both simulations.
    pub(crate) fn rate(&mut self, label: String, got: f64, want: f64, n: u64) {
        // a rate of 0 or 1 in a table of three digits is not exactly that
        let p = (0.5 * (got + want)).clamp(0.0025, 0.9975);
        let tolerance = 4.0 * (2.0 * p * (1.0 - p) / n as f64).sqrt();
        self.within(label, got, want, tolerance + 0.0005);
    }

    /// A mean count.
    pub(crate) fn count(&mut self, label: String, got: f64, want: f64) {
        self.within(label, got, want, 0.5);
    }

    /// A mean of values as spread in both simulations, in a table rounded to ± `rounding`.
    pub(crate) fn mean(&mut self, label: String, values: &[f64], want: f64, rounding: f64) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        self.within(label, mean, want, 4.0 * (2.0 * variance / n).sqrt() + rounding);
    }

    /// A value with its own tolerance.
    pub(crate) fn within(&mut self, label: String, got: f64, want: f64, tolerance: f64) {
        self.seen += 1;
        if (got - want).abs() > tolerance {
            self.misses.push(format!("{label}: got {got:.4}, want {want:.4} ± {tolerance:.4}"));
        }
    }

    /// Panics with every miss.
    pub(crate) fn finish(self) {
        assert!(self.seen > 0, "nothing was compared");
        let lines = self.misses.join("\n");
        assert!(self.misses.is_empty(), "{} of {}:\n{lines}", self.misses.len(), self.seen);
    }
}
