//! The report as data: every number with its n, its interval, its estimand and its test, in the order of the sweep file.
//!
//! Made by [`crate::analyse()`], read by every renderer, and written as `report.json`. Shares are in 0..1 here; only renderers
//! speak of percent. Nothing here depends on the clock: times and attempts are in [`Timing`] alone, so that two reports of
//! the same runs are equal apart from that one object.

use serde::Serialize;
use sweep_core::analysis::Analysis;
use sweep_core::ids::{ConfigurationId, Digest, RunId, SweepId};
use sweep_core::lifecycle::StateName;
use sweep_core::result::DeviceKind;
use sweep_core::sweep::Candidate;

/// Version of the shape of `report.json`; grows when a reader of the old shape would misread the new one.
pub const SCHEMA: u32 = 1;

/// Everything a reader is told about a sweep.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What was asked.
    pub sweep: SweepHeader,
    /// How far it is.
    pub progress: Progress,
    /// What holds for the whole report and must be read first.
    pub notes: Vec<Note>,
    /// The configurations before their data set is known, in the order of the file; other parts refer to their index. An
    /// `image_size` of 0 differs between data sets; each run's is in [`RunRow::image_size`].
    pub candidates: Vec<Candidate>,
    /// One part per data set, in the order of the file.
    pub datasets: Vec<DataSetReport>,
    /// Differences averaged over the data sets; `None` with one data set or no baseline.
    pub across: Option<Across>,
    /// Ranks over the data sets; `None` before all runs have ended, with one data set, with more than 60 configurations, or where
    /// an adaptive rule gave the configurations unequal seeds.
    pub ranks: Option<Ranks>,
    /// How an adaptive rule gave out the seeds, one part per data set; empty where all configurations got the planned seeds.
    pub adaptive: Vec<AdaptiveTrace>,
    /// Runs that ended without a result, in run order.
    pub failures: Vec<Failure>,
    /// Every run in the sweep's order.
    pub runs: Vec<RunRow>,
    /// The only part that differs between two reports of the same results.
    pub timing: Timing,
}

impl Report {
    /// `report.json`: one line, with a newline at the end; indented it would be several times as large.
    ///
    /// # Panics
    /// Never: the report has string keys only and no number that JSON cannot write (absent numbers are `null`).
    pub fn json(&self) -> String {
        // All pairs of 200 configurations make 80 MB: growing into that copies it several times.
        let families = self.datasets.iter().filter_map(|d| d.family.as_ref());
        let comparisons: usize = families.map(|f| f.comparisons.len()).sum();
        let mut bytes = Vec::with_capacity(4096 * comparisons + 1024 * self.runs.len());
        serde_json::to_writer(&mut bytes, self).expect("a report has string keys only");
        bytes.push(b'\n');
        String::from_utf8(bytes).expect("serde_json writes UTF-8")
    }

    /// Whether all planned runs have ended and no look is still to come; before that no p value and no verdict is given.
    pub fn finished(&self) -> bool {
        self.progress.pending == 0 && self.adaptive.iter().all(|trace| trace.stopped.is_some())
    }
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepHeader {
    /// Content hash of the sweep on its data sets.
    pub id: SweepId,
    /// Name of the sweep.
    pub name: String,
    /// Free text of the sweep file.
    pub description: String,
    /// Name of the sweep file.
    pub file: String,
    /// Its text as submitted.
    pub text: String,
    /// Version of the program that wrote this.
    pub version: String,
    /// The complete analysis block used here.
    pub analysis: Analysis,
    /// Digest of the analysis block used here.
    pub analysis_digest: Digest,
    /// Digest of the analysis block fixed at submission.
    pub analysis_at_submit: Digest,
    /// The two digests differ: the analysis was chosen after data could be seen.
    pub post_hoc: bool,
    /// Ended by a person before its planned runs had ended.
    pub stopped_early: bool,
    /// Name of the loss the others are compared with.
    pub baseline: Option<String>,
    /// The planned seeds.
    pub seeds: Vec<u64>,
}

/// Runs by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Planned runs.
    pub total: usize,
    /// With a result, diverged ones included.
    pub succeeded: usize,
    /// Of those, diverged.
    pub diverged: usize,
    /// Ended without a result.
    pub failed: usize,
    /// Cancelled.
    pub cancelled: usize,
    /// Being trained.
    pub leased: usize,
    /// Not ended: queued, delayed, leased, or not known to the store.
    pub pending: usize,
}

/// A sentence that stands beside numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What it is about.
    pub kind: NoteKind,
    /// The sentence: lowercase, no full stop.
    pub text: String,
}

/// What a [`Note`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// Planned runs have not ended.
    Unfinished,
    /// Ended by a person.
    StoppedEarly,
    /// The analysis block is not the one of the submission.
    PostHoc,
    /// Seeds were added by a later submission.
    Extended,
    /// Results of several device kinds.
    MixedDevices,
    /// Runs without an accuracy.
    Missing,
    /// A class with few validation images, or the size of one image.
    Granularity,
    /// The data set's own warning (duplicates, groups across parts).
    Data,
    /// What the number of seeds or images cannot resolve.
    Resolution,
    /// The bonus of choosing the best of several.
    Selection,
    /// The region of practical equivalence.
    Rope,
    /// What the looks of an adaptive rule allow to be said.
    Looks,
    /// Anything the plan warned about.
    Plan,
}

/// A closed interval of shares or of differences of shares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether 0 lies outside.
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }

    /// Whether the interval lies within ±`r`.
    pub fn inside(&self, r: f64) -> bool {
        self.low >= -r && self.high <= r
    }

    /// Half its width.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

/// Everything about one data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DataSetReport {
    /// Name used in the sweep file.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// Class names in label order.
    pub classes: Vec<String>,
    /// Training images.
    pub n_train: u32,
    /// Validation images.
    pub n_val: u32,
    /// Validation images per class.
    pub val_per_class: Vec<u32>,
    /// Digest of content.
    pub content: Digest,
    /// Digest of the split.
    pub split: Digest,
    /// ROPE half-width as a share.
    pub rope: f64,
    /// Whether `rope` is the default of max(0.01, 1/`n_val`).
    pub rope_by_default: bool,
    /// Difference of interest as a share.
    pub detect: f64,
    /// What must be read beside the numbers of this data set.
    pub notes: Vec<Note>,
    /// One per configuration, in the order of the file.
    pub summaries: Vec<Summary>,
    /// Comparisons with the baseline or all pairs; `None` when nothing is compared.
    pub family: Option<Family>,
    /// Which configurations cannot be told from the best; `None` before all runs have ended or with fewer than two rated configurations.
    pub best_set: Option<BestSet>,
    /// What is left at the end of an adaptive rule, on seeds that never chose; `None` before the looks have ended or without such
    /// seeds.
    pub confirmation: Option<Confirmation>,
    /// Epoch curves, one entry per configuration with results.
    pub curves: Vec<Curves>,
}

/// The survivors of an adaptive rule on their confirmation seeds alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Confirmation {
    /// One per survivor, in the order of the file; free of the luck of seeds that choosing brings.
    pub summaries: Vec<Summary>,
    /// Comparisons of the survivors, a family of their own; `None` when one survivor is left.
    pub family: Option<Family>,
}

/// One configuration over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Index into [`Report::candidates`].
    pub candidate: usize,
    /// Label of the candidate.
    pub label: String,
    /// Content hash of the configuration.
    pub configuration: ConfigurationId,
    /// Planned seeds.
    pub planned: usize,
    /// Seeds with an accuracy.
    pub n: usize,
    /// Failed runs.
    pub failed: usize,
    /// Cancelled runs.
    pub cancelled: usize,
    /// Runs that have not ended.
    pub pending: usize,
    /// Diverged runs, with or without an accuracy.
    pub diverged: usize,
    /// Diverged before any evaluation: no accuracy.
    pub without_accuracy: usize,
    /// Ended runs without an accuracy exist.
    pub censored: bool,
    /// Images right per seed, in seed order.
    pub values: Vec<SeedValue>,
    /// Validation images behind each count.
    pub n_val: u32,
    /// Mean accuracy over seeds.
    pub mean: Option<f64>,
    /// Standard deviation over seeds (n−1); `None` for one seed.
    pub sd: Option<f64>,
    /// Smallest accuracy.
    pub min: Option<f64>,
    /// First quartile (type 7).
    pub q1: Option<f64>,
    /// Median.
    pub median: Option<f64>,
    /// Third quartile (type 7).
    pub q3: Option<f64>,
    /// Largest accuracy. Never shown as a result.
    pub max: Option<f64>,
    /// Interquartile mean.
    pub iqm: Option<f64>,
    /// E1: t interval of the mean over seeds, these images fixed, clipped to 0..1; `None` for one seed or zero variance. At the
    /// sweep's confidence, or at that of [`Summary::look`].
    pub on_these: Option<Interval>,
    /// E2: interval over seeds and images, clipped to 0..1.
    pub beyond: Option<Interval>,
    /// How [`Summary::beyond`] was made.
    pub beyond_method: Option<BeyondMethod>,
    /// The look that ended its seeds; `None` without an adaptive rule, before that look, and for confirmation seeds.
    pub look: Option<AtLook>,
    /// Bootstrap interval of the mean over seeds, a check of [`Summary::on_these`]; `None` before all runs have ended, and where
    /// looks gave out the seeds.
    pub bootstrap: Option<BootstrapCheck>,
    /// Mean over seeds of the mean recall over classes.
    pub balanced_accuracy: Option<f64>,
}

/// A bootstrap over seeds beside the t interval: a cross-check, never the interval a report speaks with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BootstrapCheck {
    /// The interval at the sweep's confidence.
    pub interval: Interval,
    /// Whether it is bias-corrected and accelerated; else the percentile interval, where the correction does not exist.
    pub bca: bool,
    /// Resamples.
    pub resamples: u64,
    /// Fewer than 20 seeds: a bootstrap interval then holds the mean clearly less often than its level says.
    pub under_covers: bool,
}

/// One seed of a [`Summary`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SeedValue {
    /// The seed.
    pub seed: u64,
    /// Images right.
    pub correct: u32,
    /// The training diverged; the count is of the last evaluated model.
    pub diverged: bool,
}

/// How an E2 interval of a mean was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BeyondMethod {
    /// Crossed seeds × images, two-way t.
    Crossed,
    /// Wilson on one model's images (one seed, or every image alike in all seeds).
    Wilson,
}

/// Comparisons whose p values are corrected together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Family {
    /// Which comparisons.
    pub kind: FamilyKind,
    /// Number of comparisons, those without a p value included.
    pub m: usize,
    /// The configuration compared against; `None` for all pairs.
    pub baseline: Option<BaselineChoice>,
    /// In the order of the file.
    pub comparisons: Vec<Comparison>,
}

/// Which comparisons a [`Family`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FamilyKind {
    /// Each configuration with the baseline's representative.
    Baseline,
    /// Each with each.
    AllPairs,
    /// The survivors of an adaptive rule on their confirmation seeds: with the baseline's representative if it survived and
    /// [`Family::baseline`] names it, else each with each.
    Confirmation,
}

/// Which of the baseline's configurations stands for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BaselineChoice {
    /// Index into [`Report::candidates`].
    pub candidate: usize,
    /// Its label.
    pub label: String,
    /// Number of configurations of the baseline loss; the one with the best mean stands for them.
    pub chosen_from: usize,
}

/// Configuration `b` against configuration `a`: every difference is b − a.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Index of the reference into [`Report::candidates`].
    pub a: usize,
    /// Index of the other.
    pub b: usize,
    /// Label of the reference.
    pub a_label: String,
    /// Label of the other.
    pub b_label: String,
    /// Seeds with an accuracy on both sides and the same device kind, with their difference in images.
    pub pairs: Vec<PairDifference>,
    /// Planned seeds that make no pair; after a look, of the seeds of that look.
    pub dropped: usize,
    /// Seeds dropped because their two results come from different device kinds.
    pub mixed_devices: usize,
    /// The look that ended this comparison; `None` without an adaptive rule, before that look, and for confirmation seeds.
    pub look: Option<AtLook>,
    /// Mean difference as a share; `None` without pairs.
    pub estimate: Option<f64>,
    /// Standard deviation of the differences as a share; `None` for fewer than two pairs.
    pub sd: Option<f64>,
    /// On these images: seeds vary, images are fixed.
    pub on_these: EstimandResult,
    /// On images like these: seeds and images vary.
    pub beyond: EstimandResult,
    /// Other tests and effect sizes; `None` before all runs have ended. After a look without any p value.
    pub sensitivity: Option<Sensitivity>,
    /// What is said of it; `None` before all runs have ended.
    pub headline: Option<Headline>,
}

/// Where a look of an adaptive rule ended the seeds of a configuration or of a comparison.
///
/// Values that chose when to stop have no fixed-n p value: E1 has the t interval of that look, E2 a descriptive one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AtLook {
    /// Which look, from 1.
    pub look: u32,
    /// Seeds at that look.
    pub seeds: u32,
    /// Level of the E1 interval, so that it holds over all looks; `None` where the rule may look at any time: no interval then.
    pub confidence: Option<f64>,
    /// What the rule itself decided; `None` where it only stopped.
    pub decision: Option<LookDecision>,
}

/// What a look decided about a configuration or a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LookDecision {
    /// Of a configuration: it was dropped.
    Dropped,
    /// b was dropped because of a.
    DroppedByReference,
    /// a was dropped because of b.
    DroppedReference,
    /// All that was left, both among it, lies within ±ROPE of each other.
    Equivalent,
}

/// One seed of a [`Comparison`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PairDifference {
    /// The seed.
    pub seed: u64,
    /// Images right in b minus images right in a.
    pub images: i64,
}

/// What a number speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Estimand {
    /// On these images: the mean over training randomness, split and images fixed.
    E1,
    /// On images like these: over seeds and the population of images.
    E2,
}

/// The test behind a p value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TestName {
    /// Exact sign-flip permutation test over paired seeds.
    SignFlip,
    /// Exact Wilcoxon signed-rank test over paired seeds.
    Wilcoxon,
    /// Paired t test over seeds.
    PairedT,
    /// Crossed seeds × images, two-way t.
    Crossed,
    /// Sign-flip e-process over paired seeds: evidence that holds whenever one looks.
    EProcess,
}

/// A comparison in one estimand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EstimandResult {
    /// Which.
    pub estimand: Estimand,
    /// The test.
    pub test: TestName,
    /// Interval of the difference at the sweep's confidence, in E1 after a look at that of [`Comparison::look`]; `None` where it
    /// does not exist.
    pub interval: Option<Interval>,
    /// Standard error as a share.
    pub se: Option<f64>,
    /// Degrees of freedom of the interval.
    pub df: Option<f64>,
    /// Two-sided p before correction; `None` after a look.
    pub p: Option<f64>,
    /// After correction over the family's m.
    pub p_adjusted: Option<f64>,
    /// Smallest p this test can reach with these differences.
    pub p_min: Option<f64>,
    /// p of the two one-sided tests against ±ROPE.
    pub tost_p: Option<f64>,
    /// After correction over the family's m.
    pub tost_p_adjusted: Option<f64>,
    /// Comparisons in the family.
    pub m: usize,
    /// Variance components as shares squared; crossed only.
    pub components: Option<Components>,
    /// Smallest difference more seeds could ever resolve here; crossed only.
    pub floor: Option<f64>,
    /// What more seeds would buy: the difference with 80 % power at α/m, for the seeds at hand, twice and four times as many;
    /// crossed only. It falls towards [`EstimandResult::floor`] and never below.
    pub more_seeds: Vec<MoreSeeds>,
    /// The verdict; `None` before all runs have ended, and beyond the images after a look.
    pub verdict: Option<Verdict>,
}

/// What a number of seeds can resolve beyond the images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MoreSeeds {
    /// Pairs of seeds.
    pub seeds: u64,
    /// Smallest difference with 80 % power, as a share; normal approximation with the components as estimated.
    pub detectable: f64,
}

/// Where the variance of a difference comes from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Components {
    /// Between seeds.
    pub seed: f64,
    /// Between images.
    pub image: f64,
    /// Seed × image and the rest.
    pub residual: f64,
}

/// Other tests, unadjusted, and effect sizes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sensitivity {
    /// Sign-flip p.
    pub sign_flip: Option<f64>,
    /// Wilcoxon p, zeros dropped.
    pub wilcoxon: Option<f64>,
    /// Paired t p; `None` at zero variance.
    pub paired_t: Option<f64>,
    /// Hodges–Lehmann estimate of the difference as a share.
    pub hodges_lehmann: Option<f64>,
    /// Probability that a run of b beats an unpaired run of a, ties half.
    pub a12: Option<f64>,
    /// Standardised mean difference of pairs with Hedges' correction.
    pub g_z: Option<f64>,
    /// Share of seeds on which b beats a, ties half.
    pub outperforms: Option<f64>,
    /// Benjamini–Hochberg adjusted E1 p over the family: false discovery rate, for screening only.
    pub fdr: Option<f64>,
}

impl Sensitivity {
    /// The effect sizes alone.
    pub(crate) fn without_p(self) -> Self {
        Self { sign_flip: None, wilcoxon: None, paired_t: None, fdr: None, ..self }
    }
}

/// What may be said of a comparison in one estimand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The verdict.
    pub kind: VerdictKind,
    /// Which rule of the verdict table gave it, 1–8; after a look, the rule of the same verdict.
    pub rule: u8,
    /// p and interval contradict each other about 0.
    pub tests_disagree: bool,
    /// What would resolve it.
    pub needs: Needs,
    /// In words: lowercase, no full stop.
    pub text: String,
}

/// The verdicts; `Worse…` is `Better…` seen from the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// The test cannot reach the level with these pairs.
    Untestable,
    /// Different from 0, at least the ROPE half-width.
    Better,
    /// Different from 0, but within ±ROPE.
    BetterButNegligible,
    /// Different from 0, size unclear.
    BetterSizeUnresolved,
    /// As [`VerdictKind::Better`], downwards.
    Worse,
    /// As [`VerdictKind::BetterButNegligible`], downwards.
    WorseButNegligible,
    /// As [`VerdictKind::BetterSizeUnresolved`], downwards.
    WorseSizeUnresolved,
    /// Within ±ROPE by two one-sided tests.
    Equivalent,
    /// More seeds cannot resolve it; more images could.
    CannotBeResolvedBySeeds,
    /// None of these.
    Unresolved,
}

impl VerdictKind {
    /// Whether it claims a difference, in either direction.
    pub fn claims_difference(self) -> bool {
        use VerdictKind::*;
        matches!(
            self,
            Better
                | BetterButNegligible
                | BetterSizeUnresolved
                | Worse
                | WorseButNegligible
                | WorseSizeUnresolved
        )
    }
}

/// What would resolve a comparison; `None` where it does not apply or cannot be computed.
///
/// On these images, seeds are searched up to 1000 (1001 stands for more), beyond 100 in steps of one percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Needs {
    /// Seeds for the exact test to be able to reach the level.
    pub seeds_for_test: Option<u64>,
    /// Seeds for the difference of interest, 80 % power.
    pub seeds_for_detect: Option<u64>,
    /// Seeds for a difference as large as seen, 80 % power.
    pub seeds_as_seen: Option<u64>,
    /// [`Needs::seeds_for_detect`] with the standard deviation as it was estimated; only where fewer than 10 pairs made the
    /// former be planned with its upper 80 % limit.
    pub seeds_for_detect_by_sd: Option<u64>,
    /// [`Needs::seeds_as_seen`] in the same way.
    pub seeds_as_seen_by_sd: Option<u64>,
    /// Images without which no number of seeds resolves the difference of interest.
    pub images_for_detect: Option<u64>,
    /// Images without which no number of seeds resolves a difference as large as seen.
    pub images_as_seen: Option<u64>,
}

/// What is said of a comparison over both estimands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Headline {
    /// Which class of statement.
    pub kind: HeadlineKind,
    /// In words: lowercase, no full stop.
    pub text: String,
    /// Reservations beside it.
    pub marks: Vec<Mark>,
}

/// The classes of [`Headline`]; decides colour and order of nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadlineKind {
    /// A difference in both estimands, upwards.
    Better,
    /// A difference in both estimands, downwards.
    Worse,
    /// A difference on these images only, or with a reservation, upwards.
    BetterQualified,
    /// A difference on these images only, or with a reservation, downwards.
    WorseQualified,
    /// Within ±ROPE.
    Equivalent,
    /// Not testable with these seeds.
    Untestable,
    /// Open.
    Unresolved,
}

/// A reservation about a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// The two sides lack different numbers of accuracies.
    Censored,
    /// Seeds were added after a report.
    Extended,
    /// The sweep was stopped early.
    StoppedEarly,
    /// The analysis block was changed after submission.
    PostHoc,
    /// Pairs of different device kinds were dropped.
    MixedDevices,
    /// The data set has a warning of its own.
    Data,
    /// p and interval contradict each other.
    TestsDisagree,
    /// A look ended the comparison without deciding it: one interval holds over the looks, but not over a family.
    StoppedAtLook,
}

impl Mark {
    /// One or two words for tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Censored => "censored",
            Self::Extended => "extended",
            Self::StoppedEarly => "stopped early",
            Self::PostHoc => "post hoc",
            Self::MixedDevices => "mixed devices",
            Self::Data => "data warning",
            Self::TestsDisagree => "tests disagree",
            Self::StoppedAtLook => "stopped at look",
        }
    }
}

/// The configurations that cannot be told from the best on these images.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BestSet {
    /// Indices into [`Report::candidates`], in the order of the file; never empty.
    pub members: Vec<usize>,
    /// Their labels.
    pub labels: Vec<String>,
    /// The member with the smallest margin, among those the fewest hyperparameters.
    pub simplest: usize,
    /// Its label.
    pub simplest_label: String,
    /// Configurations rated.
    pub k: usize,
    /// Configurations excluded by the test.
    pub excluded: usize,
    /// The test that excluded them.
    pub test: TestName,
    /// Why not the exact test, if it was not.
    pub fallback: bool,
    /// The survivors of an adaptive rule, not tested again; `level` is what all looks of one pair spend together.
    pub by_looks: bool,
    /// Common seeds of the pair that has most; pairs with fewer exclude less readily.
    pub n: usize,
    /// Level of each one-sided comparison, α/(k−1).
    pub level: f64,
    /// Configurations with fewer than two accuracies: not rated.
    pub unrated: Vec<String>,
    /// The expected advantage, as a share, of the best of k configurations that are all equally good.
    pub winners_bonus: Option<f64>,
}

/// Epoch curves of one configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curves {
    /// Index into [`Report::candidates`].
    pub candidate: usize,
    /// Its label.
    pub label: String,
    /// Training objective.
    pub train_loss: Vec<Band>,
    /// Objective on validation images.
    pub val_loss: Vec<Band>,
    /// Accuracy on training images.
    pub train_accuracy: Vec<Band>,
    /// Accuracy on validation images.
    pub val_accuracy: Vec<Band>,
}

/// Seeds of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Band {
    /// From 1.
    pub epoch: u32,
    /// Seeds with a finite value.
    pub n: usize,
    /// 10 % quantile (type 7).
    pub p10: f64,
    /// Median.
    pub median: f64,
    /// 90 % quantile (type 7).
    pub p90: f64,
}

/// Differences averaged over the data sets with equal weight: a description of these data sets, no claim about others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Across {
    /// What may be said.
    pub wording: String,
    /// Data sets.
    pub n: usize,
    /// One per candidate compared on every data set.
    pub rows: Vec<AcrossRow>,
}

/// One row of [`Across`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AcrossRow {
    /// Index into [`Report::candidates`].
    pub candidate: usize,
    /// Its label.
    pub label: String,
    /// Equal-weight mean of the paired differences as a share.
    pub estimate: f64,
    /// √Σse²/N with the E2 standard errors.
    pub se: Option<f64>,
}

/// Configurations ranked on every data set by their mean accuracy over seeds; rank 1 is best, ties share the mean rank.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranks {
    /// Data sets.
    pub n: usize,
    /// At least 6 data sets: below that no test over data sets can reach any usual level, and ranks are a description.
    pub claim: bool,
    /// What may be said.
    pub wording: String,
    /// Ranked configurations in the order of the file.
    pub rows: Vec<RankRow>,
    /// Labels of configurations without an accuracy on some data set: not ranked.
    pub left_out: Vec<String>,
    /// Friedman's χ²; `None` when all are tied.
    pub chi2: Option<f64>,
    /// Its p.
    pub p_chi2: Option<f64>,
    /// Iman and Davenport's p; `None` also at perfect agreement.
    pub p_iman_davenport: Option<f64>,
    /// Exact permutation p, up to 24 cells.
    pub p_exact: Option<f64>,
    /// Nemenyi's critical difference of mean ranks at α.
    pub critical_difference: Option<f64>,
    /// Exact Wilcoxon tests of each pair over data sets with Holm's correction; empty without a claim.
    pub pairs: Vec<RankPair>,
}

/// One configuration of [`Ranks`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankRow {
    /// Index into [`Report::candidates`].
    pub candidate: usize,
    /// Its label.
    pub label: String,
    /// Mean rank over the data sets.
    pub mean_rank: f64,
}

/// Two configurations over data sets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RankPair {
    /// Index of the one with the better mean rank into [`Report::candidates`].
    pub better: usize,
    /// Index of the other.
    pub worse: usize,
    /// Two-sided exact Wilcoxon p over data sets, differences rounded to 0.01 pp.
    pub p: f64,
    /// After Holm over all pairs.
    pub p_adjusted: f64,
    /// Friedman's test and this one both reach α.
    pub differs: bool,
}

/// How an adaptive rule gave out the seeds of one data set: the stored decisions of its looks, never computed again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdaptiveTrace {
    /// Name of the data set.
    pub dataset: String,
    /// The rule as declared, in words: "Pocock spending, paired t, one-sided 0.05/11, looks every 5 seeds to 30".
    pub rule: String,
    /// Seeds per configuration at each planned look, rising.
    pub looks: Vec<u32>,
    /// Where the looks ended; `None` while one is still to come.
    pub stopped: Option<LooksEnded>,
    /// One per configuration, in the order of the file.
    pub rows: Vec<TraceRow>,
    /// Runs that a fixed plan of the last look's seeds for everybody would have trained beyond these; so far only of what gets no
    /// more seeds.
    pub runs_saved: u32,
    /// Seeds of each survivor that never choose; 0 for none, and before the looks have ended.
    pub confirmation_seeds: u32,
}

/// The end of an [`AdaptiveTrace`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LooksEnded {
    /// Number of the last look, from 1.
    pub look: u32,
    /// Why, in words: "one configuration is left", "the cap of 30 seeds is reached".
    pub because: String,
}

/// One configuration of an [`AdaptiveTrace`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TraceRow {
    /// Index into [`Report::candidates`].
    pub candidate: usize,
    /// Its label.
    pub label: String,
    /// Seeds it was given, without confirmation seeds.
    pub seeds: u32,
    /// When and why it was dropped; `None` for survivors.
    pub dropped: Option<Dropped>,
}

/// The elimination of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Dropped {
    /// Number of the look, from 1.
    pub look: u32,
    /// Common seeds at that look.
    pub seeds: u32,
    /// Index of the configuration that beat it into [`Report::candidates`].
    pub beaten_by: usize,
    /// One-sided p; of an e-process 1/e.
    pub p: f64,
    /// One-sided level of that look; `None` where none could be computed.
    pub level: Option<f64>,
    /// The test.
    pub test: TestName,
}

/// A run that ended without a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The run.
    pub run: RunId,
    /// Name of its data set.
    pub dataset: String,
    /// Label of its configuration.
    pub label: String,
    /// Its seed.
    pub seed: u64,
    /// Failed or cancelled.
    pub state: StateName,
    /// First line of the last error.
    pub error: Option<String>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRow {
    /// Its content hash.
    pub run: RunId,
    /// Its place in the sweep.
    pub ord: u32,
    /// Name of its data set.
    pub dataset: String,
    /// Index into [`Report::candidates`].
    pub candidate: usize,
    /// Label of the candidate.
    pub label: String,
    /// Its seed.
    pub seed: u64,
    /// Side of the square crop in pixels, resolved for its data set.
    pub image_size: u32,
    /// Its state.
    pub state: StateName,
    /// `completed` or `diverged` once it has a result.
    pub end: Option<RunEnd>,
    /// Epoch of the divergence.
    pub diverged_in_epoch: Option<u32>,
    /// Epochs trained.
    pub epochs: usize,
    /// Validation images right.
    pub correct: Option<u32>,
    /// Validation images.
    pub n_val: Option<u32>,
    /// Digest of the correctness bits.
    pub bits: Option<Digest>,
    /// Where it was trained.
    pub device: Option<DeviceKind>,
    /// First line of the last error of a run without a result.
    pub error: Option<String>,
}

/// How a run with a result ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// All epochs.
    Completed,
    /// A loss or gradient became non-finite.
    Diverged,
}

/// Wall time and attempts: what may differ between two reports of the same results.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Timing {
    /// Training seconds over all runs.
    pub seconds: f64,
    /// Per run, in the order of [`Report::runs`].
    pub runs: Vec<RunTiming>,
}

/// Time and attempts of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunTiming {
    /// The run.
    pub run: RunId,
    /// Training seconds.
    pub seconds: Option<f64>,
    /// Attempts started.
    pub attempts: u32,
}
