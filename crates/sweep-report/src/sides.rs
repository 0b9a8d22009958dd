//! The runs of one configuration that have an accuracy, ready to be paired with another's: same seed, same device kind.

use std::borrow::Cow;

use sweep_core::bits::Bits;
use sweep_core::result::DeviceKind;
use sweep_stats::bit_rows::BitRows;

use crate::input::Slot;
use crate::numbers;

/// One configuration's accuracies in seed order of the sweep.
pub(crate) struct Side {
    pub(crate) candidate: usize,
    pub(crate) label: String,
    pub(crate) seeds: Vec<u64>,
    pub(crate) devices: Vec<DeviceKind>,
    pub(crate) rows: BitRows,
    /// Planned runs.
    pub(crate) planned: usize,
    /// Seeds of the runs that ended without an accuracy.
    pub(crate) lacking: Vec<u64>,
}

impl Side {
    /// `None` when the bits cannot be read as rows of `n_val`.
    pub(crate) fn new(
        candidate: usize,
        label: &str,
        slots: &[Slot<'_>],
        n_val: u32,
    ) -> Option<Self> {
        let rated: Vec<(u64, DeviceKind, &Bits)> = slots
            .iter()
            .filter_map(|s| Some((s.run.spec.seed, s.device()?, &s.validation()?.correct)))
            .collect();
        let bits: Vec<&Bits> = rated.iter().map(|r| r.2).collect();
        Some(Self {
            candidate,
            label: label.to_owned(),
            seeds: rated.iter().map(|r| r.0).collect(),
            devices: rated.iter().map(|r| r.1).collect(),
            rows: numbers::bit_rows(&bits, n_val)?,
            planned: slots.len(),
            lacking: slots
                .iter()
                .filter(|s| !s.pending() && s.validation().is_none())
                .map(|s| s.run.spec.seed)
                .collect(),
        })
    }

    /// Runs that ended without an accuracy; up to a look only those of its seeds, which are numbered from 1.
    pub(crate) fn lacking(&self, up_to: Option<u32>) -> usize {
        let counts = |seed: &&u64| up_to.is_none_or(|last| **seed <= u64::from(last));
        self.lacking.iter().filter(counts).count()
    }
}

/// Two sides on their common seeds.
pub(crate) struct Match<'a> {
    pub(crate) seeds: Vec<u64>,
    /// Common seeds left out because the device kinds differ.
    pub(crate) mixed: usize,
    pub(crate) a: Cow<'a, BitRows>,
    pub(crate) b: Cow<'a, BitRows>,
}

/// The common seeds of `a` and `b`; sides keep the sweep's seed order, so rows meet in it.
pub(crate) fn pair<'a>(a: &'a Side, b: &'a Side) -> Match<'a> {
    if a.seeds == b.seeds && a.devices == b.devices {
        return Match {
            seeds: a.seeds.clone(),
            mixed: 0,
            a: Cow::Borrowed(&a.rows),
            b: Cow::Borrowed(&b.rows),
        };
    }
    let (mut at_a, mut at_b, mut seeds, mut mixed) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (i, seed) in a.seeds.iter().enumerate() {
        let Some(j) = b.seeds.iter().position(|s| s == seed) else { continue };
        if a.devices[i] == b.devices[j] {
            at_a.push(i);
            at_b.push(j);
            seeds.push(*seed);
        } else {
            mixed += 1;
        }
    }
    let select =
        |rows: &BitRows, at: &[usize]| rows.select(at).expect("positions of existing rows");
    Match {
        seeds,
        mixed,
        a: Cow::Owned(select(&a.rows, &at_a)),
        b: Cow::Owned(select(&b.rows, &at_b)),
    }
}
