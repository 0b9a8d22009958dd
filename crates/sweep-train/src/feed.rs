//! Pictures as network input: which examples a batch holds, in which order, and their normalised views.
//!
//! The order of an epoch is keyed by (seed, epoch) and a view by (seed, epoch, example), so a batch does not depend on slot,
//! thread or what was trained before. Pictures stay bytes in the packed file, which all slots and processes map, and become
//! numbers batch by batch: a look-up per byte, beside a network's work nothing. Only views of validation images are kept, where the
//! backend wants them. Not here: decoding, crops and mirrors (`sweep_data`).

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use sweep_core::training::Augment;
use sweep_data::{Packed, Part, View, ViewKey, Viewer};

use crate::ops::FusedBackend;
use crate::rng::KeyedRng;
use crate::shared;
use crate::views::{Shown, ViewBackend};

/// Numbers of the input of one evaluation batch: 16 MiB, 27 colour pictures at 224², 341 at 64².
const BATCH_FLOATS: usize = 1 << 22;

/// Most images of one evaluation batch: with 8×8 pictures larger ones leave the cache and gain nothing.
const LARGEST_BATCH: usize = 512;

/// The examples of one epoch's batches: a keyed shuffle of `examples` (training images), cut into batches of `batch_size`.
///
/// The short last batch is dropped unless it is the only one. A part of `examples` left out in one epoch comes in another: the
/// order is new in every epoch.
pub fn epoch_batches(examples: usize, batch_size: usize, seed: u64, epoch: u32) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..examples).collect();
    KeyedRng::new(seed).named("order").numbered(u64::from(epoch)).shuffle(&mut order);
    let batches = order.chunks(batch_size.max(1));
    let whole = batches_per_epoch(examples, batch_size);
    batches.take(whole).map(<[usize]>::to_vec).collect()
}

/// Batches of an epoch, ≥ 1 where there are examples.
pub fn batches_per_epoch(examples: usize, batch_size: usize) -> usize {
    (examples / batch_size.max(1)).max(usize::from(examples > 0))
}

/// Views of a data set at one image size, as tensors on one device.
pub struct Feed<B: ViewBackend> {
    packed: Packed,
    device: B::Device,
    viewer: Viewer,
    /// Normalised value of each byte, by channel.
    table: Vec<[f32; 256]>,
    val: Vec<Tensor<B, 4>>,
    /// The pictures on the device, where views are made there.
    resident: Option<Arc<B::Resident>>,
}

impl<B: ViewBackend> std::fmt::Debug for Feed<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("path", &self.packed.path()).finish_non_exhaustive()
    }
}

impl<B: FusedBackend + ViewBackend> Feed<B> {
    /// Views of `packed` on `device`; no view is made before it is asked for.
    pub fn new(packed: Packed, device: B::Device) -> Self {
        let norm = packed.normalisation();
        let table: Vec<[f32; 256]> = (0..packed.channels())
            .map(|channel| {
                std::array::from_fn(|v| {
                    (v as f32 / norm.divisor - norm.mean[channel]) / norm.deviation[channel]
                })
            })
            .collect();
        // Slots of one device share them.
        let name = format!("{device:?} {}", packed.digest());
        let resident = shared::held(name, || B::resident(&packed, &table, &device).ok_or(())).ok();
        Self { packed, device, viewer: Viewer::new(), table, val: Vec::new(), resident }
    }

    /// The data set.
    pub fn packed(&self) -> &Packed {
        &self.packed
    }

    /// Training views of `examples` (indices into the training part) in epoch `epoch` (from 0) of a run with `seed`.
    ///
    /// # Shapes
    /// [N, C, S, S]
    pub fn training_batch(
        &mut self,
        examples: &[usize],
        augment: Augment,
        seed: u64,
        epoch: u32,
    ) -> Tensor<B, 4> {
        let part = self.packed.train();
        if let Some(resident) = &self.resident {
            let shown = examples.iter().map(|&example| {
                let (packed, key) = (&self.packed, ViewKey { seed, epoch });
                let example = part.start + example;
                Shown::of(packed, example, View::training(packed, example, augment, key))
            });
            return channels_second(B::views(resident, &shown.collect::<Vec<_>>()));
        }
        let mut views = Vec::with_capacity(examples.len() * self.packed.view_len());
        for &example in examples {
            let (packed, key) = (&self.packed, ViewKey { seed, epoch });
            let pixels = self.viewer.train_pixels(packed, part.start + example, augment, key);
            normalise(pixels, &self.table, &mut views);
        }
        self.tensor(views)
    }

    /// The images of a part in batches of the size of an evaluation, as positions in all of the data set.
    pub fn evaluation_ranges(&self, part: Part) -> Vec<Range<usize>> {
        let all = match part {
            Part::Train => self.packed.train(),
            Part::Val => self.packed.val(),
        };
        let images = self.evaluation_images();
        all.clone().step_by(images).map(|start| start..(start + images).min(all.end)).collect()
    }

    /// Evaluation views of images given by their positions in all of the data set; not kept.
    ///
    /// # Shapes
    /// [N, C, S, S]
    pub fn evaluation_batch(&mut self, images: Range<usize>) -> Tensor<B, 4> {
        if let Some(resident) = &self.resident {
            let packed = &self.packed;
            let shown = images.map(|e| Shown::of(packed, e, View::evaluation(packed, e)));
            return channels_second(B::views(resident, &shown.collect::<Vec<_>>()));
        }
        let views = self.evaluation_views(images);
        self.tensor(views)
    }

    fn evaluation_images(&self) -> usize {
        (BATCH_FLOATS / self.packed.view_len()).clamp(1, LARGEST_BATCH)
    }

    /// The validation images of batch `index`, as positions in the order of the split; empty after the last batch.
    pub fn validation_range(&self, index: usize) -> Range<usize> {
        let images = self.evaluation_images();
        let count = self.packed.val().len();
        (index * images).min(count)..((index + 1) * images).min(count)
    }

    /// Evaluation views of the images of [`Feed::validation_range`], in the order of the split.
    ///
    /// # Shapes
    /// [N, C, S, S]
    pub fn validation_batch(&mut self, index: usize) -> Tensor<B, 4> {
        let part = self.packed.val();
        if self.val.is_empty() && self.fits(part.len()) {
            self.val = (0..)
                .map(|batch| self.validation_range(batch))
                .take_while(|range| !range.is_empty())
                .collect::<Vec<_>>()
                .into_iter()
                .map(|range| self.made(range))
                .collect();
        }
        match self.val.get(index) {
            Some(kept) => kept.clone(),
            None => self.made(self.validation_range(index)),
        }
    }

    fn made(&mut self, range: Range<usize>) -> Tensor<B, 4> {
        let start = self.packed.val().start;
        self.evaluation_batch(start + range.start..start + range.end)
    }

    fn fits(&self, images: usize) -> bool {
        images * self.packed.view_len() * size_of::<f32>() <= B::KEPT_VIEWS
    }

    fn evaluation_views(&mut self, examples: Range<usize>) -> Vec<f32> {
        let mut views = Vec::with_capacity(examples.len() * self.packed.view_len());
        for example in examples {
            let pixels = self.viewer.eval_pixels(&self.packed, example);
            normalise(pixels, &self.table, &mut views);
        }
        views
    }

    fn tensor(&self, views: Vec<f32>) -> Tensor<B, 4> {
        let (side, channels) = (self.packed.image_size() as usize, self.packed.channels());
        let images = views.len() / (side * side * channels);
        let data = TensorData::new(views, [images, side, side, channels]);
        channels_second(Tensor::from_data(data, (&self.device, DType::F32)))
    }
}

/// Channels-last memory, which is what the operations of a network read, in the order of torch.
fn channels_second<B: Backend>(views: Tensor<B, 4>) -> Tensor<B, 4> {
    views.permute([0, 3, 1, 2])
}

fn normalise(pixels: &[u8], table: &[[f32; 256]], out: &mut Vec<f32>) {
    let start = out.len();
    out.resize(start + pixels.len(), 0.0);
    let out = &mut out[start..];
    match table {
        [only] => {
            for (out, &v) in out.iter_mut().zip(pixels) {
                *out = only[usize::from(v)];
            }
        }
        [red, green, blue] => {
            let pixels = pixels.as_chunks::<3>().0;
            for (out, &[r, g, b]) in out.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
                *out = [red[usize::from(r)], green[usize::from(g)], blue[usize::from(b)]];
            }
        }
        _ => unreachable!("a packed picture has one channel or three"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_last_batch_is_dropped() {
        let batches = epoch_batches(897, 32, 1, 0);
        assert_eq!(batches.len(), 28);
        assert!(batches.iter().all(|batch| batch.len() == 32));
    }

    #[test]
    fn a_set_smaller_than_a_batch_is_one_batch() {
        let batches = epoch_batches(5, 32, 1, 0);
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [5]);
        assert_eq!(batches_per_epoch(5, 32), 1);
        assert_eq!(batches_per_epoch(0, 32), 0);
    }

    #[test]
    fn each_example_comes_at_most_once_in_an_epoch() {
        let mut seen: Vec<usize> = epoch_batches(50, 10, 3, 7).concat();
        seen.sort_unstable();
        assert_eq!(seen, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn the_order_is_keyed_by_seed_and_epoch() {
        assert_eq!(epoch_batches(50, 10, 3, 7), epoch_batches(50, 10, 3, 7));
        assert_ne!(epoch_batches(50, 10, 3, 7), epoch_batches(50, 10, 3, 8));
        assert_ne!(epoch_batches(50, 10, 3, 7), epoch_batches(50, 10, 4, 7));
    }

    #[test]
    fn bytes_are_normalised_by_their_channel() {
        let mut one = [0.0; 256];
        let mut two = [0.0; 256];
        one[5] = 1.5;
        two[5] = -2.5;
        let mut out = Vec::new();
        let blue = [9.0; 256];
        normalise(&[5, 5, 1, 0, 5, 1], &[one, two, blue], &mut out);
        assert_eq!(out, [1.5, -2.5, 9.0, 0.0, -2.5, 9.0]);
        normalise(&[0, 5], &[one], &mut out);
        assert_eq!(out[6..], [0.0, 1.5], "added to what is there");
    }
}
