//! Results of one configuration over its seeds → [`Summary`] and epoch [`Curves`]. Every number comes from `sweep-stats`.

use sweep_core::analysis::Analysis;
use sweep_core::lifecycle::StateName;
use sweep_core::result::{EpochMetrics, Validation};

use crate::input::Slot;
use crate::numbers;
use crate::report::{AtLook, Band, BeyondMethod, Curves, SeedValue, Summary};

/// Who is summarised, beside the runs themselves.
pub(crate) struct Subject<'a> {
    pub(crate) dataset: &'a str,
    /// All planned runs have ended.
    pub(crate) finished: bool,
    pub(crate) candidate: usize,
    pub(crate) label: &'a str,
    pub(crate) configuration: sweep_core::ids::ConfigurationId,
    pub(crate) n_val: u32,
    /// Confirmation seeds: a part of their own.
    pub(crate) confirms: bool,
    /// The look that ended its seeds, of those that chose.
    pub(crate) look: Option<AtLook>,
    /// Level of the E1 interval; `None`: no interval holds.
    pub(crate) level: Option<f64>,
    /// Seeds were given out by results, so that no bootstrap over them means anything.
    pub(crate) by_looks: bool,
}

/// One configuration over its seeds.
pub(crate) fn summary(subject: Subject<'_>, slots: &[Slot<'_>], analysis: &Analysis) -> Summary {
    let count = |f: &dyn Fn(&Slot<'_>) -> bool| slots.iter().filter(|s| f(s)).count();
    let validations: Vec<&Validation> = slots.iter().filter_map(Slot::validation).collect();
    let values: Vec<SeedValue> = slots
        .iter()
        .filter_map(|s| {
            let correct = s.validation()?.correct.count_ones() as u32;
            Some(SeedValue { seed: s.run.spec.seed, correct, diverged: s.diverged() })
        })
        .collect();
    let counts: Vec<i64> = values.iter().map(|v| i64::from(v.correct)).collect();
    let level = subject.level.unwrap_or(analysis.confidence);
    let described = numbers::describe(&counts, subject.n_val, level);
    let rows: Vec<_> = validations.iter().map(|v| &v.correct).collect();
    let (beyond, beyond_method) =
        match numbers::mean_beyond(&rows, subject.n_val, analysis.confidence) {
            Some((interval, crossed)) => (
                Some(interval),
                Some(if crossed { BeyondMethod::Crossed } else { BeyondMethod::Wilson }),
            ),
            None => (None, None),
        };
    let failed = count(&|s| s.state() == StateName::Failed);
    let cancelled = count(&|s| s.state() == StateName::Cancelled);
    let without_accuracy =
        count(&|s| s.state() == StateName::Succeeded && s.validation().is_none());
    Summary {
        candidate: subject.candidate,
        label: subject.label.to_owned(),
        configuration: subject.configuration,
        planned: slots.len(),
        n: values.len(),
        failed,
        cancelled,
        pending: count(&|s| s.pending()),
        diverged: count(&|s| s.diverged()),
        without_accuracy,
        censored: failed + cancelled + without_accuracy > 0,
        n_val: subject.n_val,
        mean: described.as_ref().map(|d| d.mean),
        sd: described.as_ref().and_then(|d| d.sd),
        min: described.as_ref().map(|d| d.min),
        q1: described.as_ref().map(|d| d.q1),
        median: described.as_ref().map(|d| d.median),
        q3: described.as_ref().map(|d| d.q3),
        max: described.as_ref().map(|d| d.max),
        iqm: described.as_ref().map(|d| d.iqm),
        on_these: described.as_ref().and_then(|d| d.interval).filter(|_| subject.level.is_some()),
        look: subject.look,
        beyond,
        beyond_method,
        bootstrap: if subject.finished && !subject.by_looks {
            let part = if subject.confirms { "/confirmation" } else { "" };
            let name = format!("{}/{}/val_accuracy/mean{part}", subject.dataset, subject.label);
            numbers::bootstrap_check(&counts, subject.n_val, &name, analysis.confidence)
        } else {
            None
        },
        balanced_accuracy: balanced_accuracy(&validations),
        values,
    }
}

/// Mean over seeds of the mean recall over the classes that have validation images.
fn balanced_accuracy(validations: &[&Validation]) -> Option<f64> {
    let per_seed: Option<Vec<f64>> = validations
        .iter()
        .map(|v| {
            let recalls: Vec<f64> = v
                .confusion
                .iter()
                .enumerate()
                .filter_map(|(class, row)| {
                    let predicted: u32 = row.iter().sum();
                    (predicted > 0).then(|| {
                        f64::from(row.get(class).copied().unwrap_or(0)) / f64::from(predicted)
                    })
                })
                .collect();
            numbers::mean(&recalls)
        })
        .collect();
    numbers::mean(&per_seed?)
}

/// Epoch curves of one configuration; `None` without any epoch.
pub(crate) fn curves(candidate: usize, label: &str, slots: &[Slot<'_>]) -> Option<Curves> {
    let runs: Vec<&[EpochMetrics]> =
        slots.iter().filter_map(Slot::result).map(|r| r.epochs.as_slice()).collect();
    curves_of(candidate, label, &runs)
}

/// Epoch curves over the epochs of some runs; `None` without any epoch.
pub(crate) fn curves_of(candidate: usize, label: &str, runs: &[&[EpochMetrics]]) -> Option<Curves> {
    let last = runs.iter().flat_map(|epochs| epochs.iter().map(|e| e.epoch)).max()?;
    let band = |f: fn(&EpochMetrics) -> Option<f64>| -> Vec<Band> {
        let mut at: Vec<Vec<f64>> = vec![Vec::new(); last as usize + 1];
        for metrics in runs.iter().copied().flatten() {
            if let Some(value) = f(metrics).filter(|v| v.is_finite()) {
                at[metrics.epoch as usize].push(value);
            }
        }
        at.into_iter()
            .enumerate()
            .filter_map(|(epoch, mut values)| {
                values.sort_by(f64::total_cmp);
                let [p10, median, p90] = numbers::quantiles(&values, [0.1, 0.5, 0.9])?;
                Some(Band { epoch: epoch as u32, n: values.len(), p10, median, p90 })
            })
            .collect()
    };
    Some(Curves {
        candidate,
        label: label.to_owned(),
        train_loss: band(|e| e.train_loss),
        val_loss: band(|e| e.val_loss),
        train_accuracy: band(|e| Some(e.train_accuracy)),
        val_accuracy: band(|e| Some(e.val_accuracy)),
    })
}
