//! The analysis block of a sweep file: fixed before data, so that a verdict cannot be shopped for.

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::ids::Digest;

/// What is compared, how, and at which level. Complete: defaults filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Analysis {
    /// What is compared.
    pub metric: Metric,
    /// Level of each family of tests, in (0, 0.5).
    pub alpha: f64,
    /// Half-width of the region of practical equivalence as a share, in (0, 1); `None`: max(0.01, `1/n_val`) per data set.
    pub rope: Option<f64>,
    /// The test over seeds.
    pub test: Test,
    /// Who is compared with whom.
    pub compare: Compare,
    /// Correction within a family.
    pub correction: Correction,
    /// Level of intervals, in (0.5, 1).
    pub confidence: f64,
    /// Difference of interest as a share, in (0, 1); `None`: the ROPE half-width.
    pub detect: Option<f64>,
    /// The epoch a metric is taken at.
    pub epoch: EpochRule,
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            metric: Metric::ValAccuracy,
            alpha: 0.05,
            rope: None,
            test: Test::SignFlip,
            compare: Compare::Baseline,
            correction: Correction::Holm,
            confidence: 0.95,
            detect: None,
            epoch: EpochRule::Last,
        }
    }
}

impl Analysis {
    /// The ROPE half-width on a data set of `n_val` validation images, as a share: where none is written, one point, but at least
    /// one image.
    pub fn rope_on(&self, n_val: u32) -> f64 {
        self.rope.unwrap_or_else(|| (1.0 / f64::from(n_val.max(1))).max(0.01))
    }

    /// Recorded at submission; a report under another digest is marked post hoc.
    pub fn digest(&self) -> Digest {
        canonical::digest(self)
    }
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of validation images right.
    ValAccuracy,
}

/// The test over paired seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Exact sign-flip permutation test (default).
    SignFlip,
    /// Exact Wilcoxon signed-rank test with midranks.
    Wilcoxon,
    /// Paired t test.
    PairedT,
}

/// Who is compared with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// Each configuration with the baseline.
    Baseline,
    /// Each with each.
    AllPairs,
}

/// Correction of p values within a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Correction {
    /// Holm's step-down (default).
    Holm,
    /// Bonferroni.
    Bonferroni,
}

/// The epoch a metric is taken at; "best over epochs" is selection and not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpochRule {
    /// After the last epoch.
    Last,
}
