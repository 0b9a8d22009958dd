//! What a checkpoint holds and how it is written: everything needed to go on as if never stopped.
//!
//! Random numbers are keyed by (seed, epoch, example), so no generator has a state to keep. Bytes that are damaged, of
//! another run, device kind or format are not an error: [`Snapshot::read`] answers `None` and the run starts over.
//!
//! Layout: magic (8 bytes), format (u32), blake3 of all that follows (32 bytes), length of the meta part (u64), the meta part
//! (`MessagePack`), then all tensors as f32; numbers are little-endian. Tensors are not compressed: weights do not shrink.

use serde::{Deserialize, Serialize};
use sweep_core::ids::{Digest, RunId};
use sweep_core::result::{DeviceKind, EpochMetrics, Validation};

const MAGIC: [u8; 8] = *b"SWEEPCKP";

/// Changes whenever an older program could misread what this one writes, or the reverse.
const FORMAT: u32 = 1;

const HEADER: usize = MAGIC.len() + 4 + 32 + 8;

/// A training between two batches.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Where it stands and what it has measured.
    pub progress: Progress,
    /// Float tensors of network and head in module order, flat, running statistics included.
    pub tensors: Vec<Vec<f32>>,
    /// Moments of the optimizer by tensor, in the same order.
    pub moments: Vec<Option<SavedMoments>>,
}

/// The moments of one tensor, flat.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedMoments {
    /// [`crate::optim::rule::Moments::first`].
    pub first: Vec<f32>,
    /// [`crate::optim::rule::Moments::second`].
    pub second: Option<Vec<f32>>,
}

/// Where a training stands and what it has measured so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs completed.
    pub epoch: u32,
    /// Batches completed in the epoch in hand.
    pub batch: u32,
    /// Optimizer steps taken.
    pub step: u64,
    /// Sums over the epoch in hand.
    pub sums: Sums,
    /// Metrics of the completed epochs.
    pub epochs: Vec<EpochMetrics>,
    /// Of the last evaluated model.
    pub validation: Option<Validation>,
    /// Wall time of the epoch in hand so far, in seconds.
    pub epoch_seconds: f64,
    /// Wall time of all epochs and attempts so far, in seconds.
    pub seconds: f64,
}

impl Progress {
    /// Before the first batch.
    pub fn start() -> Self {
        Self {
            epoch: 0,
            batch: 0,
            step: 0,
            sums: Sums::default(),
            epochs: Vec::new(),
            validation: None,
            epoch_seconds: 0.0,
            seconds: 0.0,
        }
    }
}

/// Running sums over images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Σ of per-sample losses.
    pub loss: f64,
    /// Images right by plain logits.
    pub correct: u64,
    /// Images seen.
    pub images: u64,
}

impl Sums {
    /// Adds those of more images.
    pub fn add(&mut self, more: Self) {
        self.loss += more.loss;
        self.correct += more.correct;
        self.images += more.images;
    }

    /// Mean loss, `None` when it is not finite.
    pub fn mean_loss(&self) -> Option<f64> {
        Some(self.loss / self.images.max(1) as f64).filter(|mean| mean.is_finite())
    }

    /// Share of right images, in [0, 1].
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images.max(1) as f64
    }
}

#[derive(Serialize, Deserialize)]
struct Meta {
    run: RunId,
    device: DeviceKind,
    progress: Progress,
    tensors: Vec<usize>,
    moments: Vec<Option<MomentLengths>>,
}

#[derive(Serialize, Deserialize)]
struct MomentLengths {
    first: usize,
    second: Option<usize>,
}

impl Snapshot {
    /// The bytes of this snapshot of `run` on a device of kind `device`.
    pub fn written(&self, run: &RunId, device: DeviceKind) -> Vec<u8> {
        let lengths = |m: &SavedMoments| MomentLengths {
            first: m.first.len(),
            second: m.second.as_ref().map(Vec::len),
        };
        let meta = Meta {
            run: run.clone(),
            device,
            progress: self.progress.clone(),
            tensors: self.tensors.iter().map(Vec::len).collect(),
            moments: self.moments.iter().map(|m| m.as_ref().map(lengths)).collect(),
        };
        // Named fields: metrics leave out absent ones.
        let meta =
            rmp_serde::to_vec_named(&meta).expect("plain data with string keys can be written");
        let floats: usize = self.floats().map(<[f32]>::len).sum();
        let mut bytes = Vec::with_capacity(HEADER + meta.len() + 4 * floats);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend([0; 32]);
        bytes.extend((meta.len() as u64).to_le_bytes());
        bytes.extend(&meta);
        for values in self.floats() {
            bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        }
        let digest = Digest::of(&bytes[HEADER - 8..]);
        bytes[HEADER - 40..HEADER - 8].copy_from_slice(&digest.0);
        bytes
    }

    /// The snapshot in `bytes`, if they are whole and of this run, device kind and format.
    pub fn read(bytes: &[u8], run: &RunId, device: DeviceKind) -> Option<Self> {
        let body = bytes.strip_prefix(&MAGIC)?.strip_prefix(&FORMAT.to_le_bytes())?;
        let (digest, body) = body.split_at_checked(32)?;
        if Digest::of(body).0 != *digest {
            return None;
        }
        let (length, body) = body.split_first_chunk::<8>()?;
        let (meta, floats) =
            body.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let meta: Meta = rmp_serde::from_slice(meta).ok()?;
        if meta.run != *run || meta.device != device {
            return None;
        }
        let mut floats = Floats(floats);
        let tensors = meta.tensors.iter().map(|&n| floats.take(n)).collect::<Option<_>>()?;
        let mut moments = Vec::with_capacity(meta.moments.len());
        for lengths in meta.moments {
            moments.push(match lengths {
                None => None,
                Some(MomentLengths { first, second }) => Some(SavedMoments {
                    first: floats.take(first)?,
                    second: second.map(|n| floats.take(n).ok_or(())).transpose().ok()?,
                }),
            });
        }
        floats.0.is_empty().then_some(Self { progress: meta.progress, tensors, moments })
    }

    fn floats(&self) -> impl Iterator<Item = &[f32]> {
        let moments = self.moments.iter().flatten();
        let moments =
            moments.flat_map(|m| std::iter::once(m.first.as_slice()).chain(m.second.as_deref()));
        self.tensors.iter().map(Vec::as_slice).chain(moments)
    }
}

struct Floats<'a>(&'a [u8]);

impl Floats<'_> {
    fn take(&mut self, count: usize) -> Option<Vec<f32>> {
        let (now, rest) = self.0.split_at_checked(count.checked_mul(4)?)?;
        self.0 = rest;
        let (numbers, _) = now.as_chunks::<4>();
        Some(numbers.iter().map(|&n| f32::from_le_bytes(n)).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(n: u8) -> RunId {
        RunId::of(&Digest::of(&[n]))
    }

    fn snapshot() -> Snapshot {
        let metrics = EpochMetrics {
            epoch: 1,
            train_loss: Some(0.1 + 0.2),
            train_accuracy: 0.5,
            val_loss: None,
            val_accuracy: 1.0 / 3.0,
            learning_rate: 0.05,
            lambda: None,
            seconds: 0.25,
        };
        let validation = Validation {
            correct: [true, false, true].into_iter().collect(),
            confusion: vec![vec![1, 0], vec![1, 1]],
            mistakes: Some([Some(0)].into_iter().collect()),
        };
        Snapshot {
            progress: Progress {
                epoch: 1,
                batch: 3,
                step: 8,
                sums: Sums { loss: 1.0 / 7.0, correct: 4, images: 30 },
                epochs: vec![metrics],
                validation: Some(validation),
                epoch_seconds: 0.5,
                seconds: 0.75,
            },
            tensors: vec![vec![1.0, -0.0, f32::MIN_POSITIVE], vec![]],
            moments: vec![Some(SavedMoments { first: vec![0.1], second: Some(vec![0.2]) }), None],
        }
    }

    #[test]
    fn a_snapshot_reads_back_bit_for_bit() {
        let bytes = snapshot().written(&run(1), DeviceKind::Cpu);
        let back = Snapshot::read(&bytes, &run(1), DeviceKind::Cpu).unwrap();
        assert_eq!(back, snapshot());
        assert_eq!(back.tensors[0][1].to_bits(), (-0.0f32).to_bits());
    }

    #[test]
    fn a_foreign_run_or_device_means_start_over() {
        let bytes = snapshot().written(&run(1), DeviceKind::Cpu);
        assert_eq!(Snapshot::read(&bytes, &run(2), DeviceKind::Cpu), None);
        assert_eq!(Snapshot::read(&bytes, &run(1), DeviceKind::Cuda), None);
    }

    #[test]
    fn another_format_means_start_over() {
        let mut bytes = snapshot().written(&run(1), DeviceKind::Cpu);
        bytes[MAGIC.len()] += 1;
        assert_eq!(Snapshot::read(&bytes, &run(1), DeviceKind::Cpu), None);
    }

    proptest! {
        #[test]
        fn a_flipped_bit_or_a_lost_end_means_start_over(place in any::<prop::sample::Index>(), bit in 0u8..8) {
            let bytes = snapshot().written(&run(1), DeviceKind::Cpu);
            let place = place.index(bytes.len());
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << bit;
            prop_assert_eq!(Snapshot::read(&flipped, &run(1), DeviceKind::Cpu), None);
            prop_assert_eq!(Snapshot::read(&bytes[..place], &run(1), DeviceKind::Cpu), None);
        }
    }
}
