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

/// How much of a simulation is done: all of it, or a share that is quick enough to run with every change.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// One replicate of so many.
    pub(crate) of: u64,
}

impl Size {
    /// As many replicates as the reference values were made from.
    pub(crate) const FULL: Size = Size { of: 1 };

    /// Replicates to do where the reference has `full`.
    pub(crate) fn replicates(self, full: u64) -> u64 {
        (full / self.of).max(20)
    }
}

/// Compares simulated values with reference values and reports all misses at once.
///
/// A value passes within 4 standard errors of the difference of two simulations, this one and the reference: with fewer
/// replicates here the test is weaker, never wrong more often.
pub(crate) struct Cells {
    size: Size,
    seen: usize,
    misses: Vec<String>,
}

impl Cells {
    pub(crate) fn new(size: Size) -> Cells {
        Cells { size, seen: 0, misses: Vec::new() }
    }

    /// 1/n of this simulation plus 1/n of the reference, which has `full` replicates.
    fn inverse(&self, full: u64) -> f64 {
        1.0 / self.size.replicates(full) as f64 + 1.0 / full as f64
    }

    /// A rate; the reference has `full` replicates.
    pub(crate) fn rate(&mut self, label: String, got: f64, want: f64, full: u64) {
        // a rate of 0 or 1 in a table of three digits is not exactly that
        let p = (0.5 * (got + want)).clamp(0.0025, 0.9975);
        let tolerance = 4.0 * (p * (1.0 - p) * self.inverse(full)).sqrt();
        self.within(label, got, want, tolerance + 0.0005);
    }

    /// A mean count: within 0.5, as the reference asks, or what fewer replicates allow.
    pub(crate) fn count(&mut self, label: String, values: &[f64], want: f64, full: u64) {
        let tolerance = (4.0 * (variance(values) * self.inverse(full)).sqrt()).max(0.5);
        self.within(label, mean(values), want, tolerance);
    }

    /// A mean of values as spread in both simulations, in a table rounded to ± `rounding`.
    pub(crate) fn mean(
        &mut self,
        label: String,
        values: &[f64],
        want: f64,
        rounding: f64,
        full: u64,
    ) {
        let tolerance = 4.0 * (variance(values) * self.inverse(full)).sqrt() + rounding;
        self.within(label, mean(values), want, tolerance);
    }

    /// A value with its own tolerance.
    pub(crate) fn within(&mut self, label: String, got: f64, want: f64, tolerance: f64) {
        self.seen += 1;
        println!("{label}: {got:.4} (reference {want:.4}, within {tolerance:.4})");
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

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0)
}
