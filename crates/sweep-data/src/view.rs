//! What a network sees of a packed picture: a square crop, normalised, channels first.
//!
//! | augment | training view |
//! | --- | --- |
//! | `none` | the evaluation view: the central square |
//! | `mild` | a random crop of area 0.6–1 and ratio 3/4–4/3, resized; mirrored with ½ |
//! | `torchvision` | the same with area 0.08–1 |
//!
//! Crops come from the packed picture, whose short side is round(S · 256/224), not from the original: small crops of large
//! originals are softer than torchvision's, equally so for every loss. Random numbers are keyed by (seed, epoch, example), never
//! by slot or order.

use fast_image_resize::Resizer;
use sweep_core::training::Augment;

use crate::pack::{Normalisation, Packed, Picture};
use crate::resize::{Region, resize_into};
use crate::rng::KeyedRng;

/// What a training view depends on besides the example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewKey {
    /// The run's seed.
    pub seed: u64,
    /// From 1.
    pub epoch: u32,
}

/// Which part of a packed picture a view shows, in whole pixels of the picture.
///
/// The part is resized to the view's size (bilinear with antialias, which looks at neighbours outside the part too), then mirrored or
/// not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Pixels left of the part.
    pub left: u32,
    /// Pixels above it.
    pub top: u32,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Whether left becomes right.
    pub mirror: bool,
}

impl View {
    /// The evaluation view of `example`: the central square, of an odd margin the larger half right and below.
    ///
    /// # Panics
    /// On an example that is not there.
    pub fn evaluation(packed: &Packed, example: usize) -> Self {
        let (side, picture) = (packed.image_size(), packed.picture(example));
        let (left, top) = ((picture.width - side) / 2, (picture.height - side) / 2);
        Self { left, top, width: side, height: side, mirror: false }
    }

    /// The training view of `example`.
    ///
    /// # Panics
    /// On an example that is not there.
    pub fn training(packed: &Packed, example: usize, augment: Augment, key: ViewKey) -> Self {
        let smallest_area = match augment {
            Augment::None => return Self::evaluation(packed, example),
            Augment::Mild => 0.6,
            Augment::Torchvision => 0.08,
        };
        let picture = packed.picture(example);
        let parts = [
            &key.seed.to_le_bytes()[..],
            &key.epoch.to_le_bytes()[..],
            &(example as u64).to_le_bytes()[..],
        ];
        let mut rng = KeyedRng::new("view", &parts);
        let Region { left, top, width, height } =
            random_region(&mut rng, picture.width, picture.height, smallest_area);
        // Drawn even where mirroring is not allowed, so that the permission changes nothing but the mirroring.
        let mirror = (rng.bits() >> 63 == 1) && packed.hflip();
        Self { left, top, width, height, mirror }
    }
}

/// Makes views; holds scratch memory and nothing that changes a result. One per thread.
#[derive(Debug, Default)]
pub struct Viewer {
    resizer: Resizer,
    pixels: Vec<u8>,
    table: Option<(Normalisation, Box<[[f32; 256]; 3]>)>,
}

impl Viewer {
    /// A viewer without scratch memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The evaluation view of `example` into `out`.
    ///
    /// # Shapes
    /// `out`: [C, S, S] row by row, [`Packed::view_len`] numbers.
    ///
    /// # Panics
    /// On another length of `out` or an example that is not there.
    pub fn eval(&mut self, packed: &Packed, example: usize, out: &mut [f32]) {
        self.eval_pixels(packed, example);
        self.normalise(packed, out);
    }

    /// The training view of `example` into `out`.
    ///
    /// # Shapes
    /// `out`: [C, S, S] row by row, [`Packed::view_len`] numbers.
    ///
    /// # Panics
    /// On another length of `out` or an example that is not there.
    pub fn train(
        &mut self,
        packed: &Packed,
        example: usize,
        augment: Augment,
        key: ViewKey,
        out: &mut [f32],
    ) {
        self.train_pixels(packed, example, augment, key);
        self.normalise(packed, out);
    }

    /// The evaluation view before normalisation, as bytes [S, S, C].
    ///
    /// # Panics
    /// On an example that is not there.
    pub fn eval_pixels(&mut self, packed: &Packed, example: usize) -> &[u8] {
        let picture = packed.picture(example);
        self.pixels.resize(packed.view_len(), 0);
        let View { left, top, .. } = View::evaluation(packed, example);
        cut(&picture, (left, top), packed.image_size(), &mut self.pixels);
        &self.pixels
    }

    /// The training view before normalisation, as bytes [S, S, C].
    ///
    /// # Panics
    /// On an example that is not there.
    pub fn train_pixels(
        &mut self,
        packed: &Packed,
        example: usize,
        augment: Augment,
        key: ViewKey,
    ) -> &[u8] {
        if augment == Augment::None {
            return self.eval_pixels(packed, example);
        }
        let View { left, top, width, height, mirror } =
            View::training(packed, example, augment, key);
        let picture = packed.picture(example);
        let side = packed.image_size();
        self.pixels.resize(packed.view_len(), 0);
        let region = Region { left, top, width, height };
        let size = (picture.width, picture.height);
        resize_into(
            &mut self.resizer,
            picture.pixels,
            size,
            picture.channels,
            region,
            (side, side),
            &mut self.pixels,
        );
        if mirror {
            mirror_rows(&mut self.pixels, side as usize, picture.channels);
        }
        &self.pixels
    }

    /// Bytes [S, S, C] → numbers [C, S, S].
    fn normalise(&mut self, packed: &Packed, out: &mut [f32]) {
        let channels = packed.channels();
        assert_eq!(out.len(), packed.view_len(), "a view has channels · image_size² numbers");
        let wanted = packed.normalisation();
        if self.table.as_ref().is_none_or(|(made_for, _)| *made_for != wanted) {
            self.table = Some((wanted, lookup(wanted)));
        }
        let Some((_, table)) = &self.table else { unreachable!("just made") };
        for (c, plane) in out.chunks_exact_mut(self.pixels.len() / channels).enumerate() {
            for (number, pixel) in plane.iter_mut().zip(self.pixels.chunks_exact(channels)) {
                *number = table[c][usize::from(pixel[c])];
            }
        }
    }
}

fn lookup(normalisation: Normalisation) -> Box<[[f32; 256]; 3]> {
    let mut table = Box::new([[0.0; 256]; 3]);
    for (c, row) in table.iter_mut().enumerate() {
        for (value, number) in (0..=u8::MAX).zip(row) {
            *number = normalisation.apply(value, c);
        }
    }
    table
}

/// Copies the `side`² pixels right of and below the point (left, top).
fn cut(picture: &Picture<'_>, (left, top): (u32, u32), side: u32, out: &mut [u8]) {
    let row = side as usize * picture.channels;
    let (left, top) = (left as usize * picture.channels, top as usize);
    let stride = picture.width as usize * picture.channels;
    for (y, target) in out.chunks_exact_mut(row).enumerate() {
        let start = (top + y) * stride + left;
        target.copy_from_slice(&picture.pixels[start..start + row]);
    }
}

fn mirror_rows(pixels: &mut [u8], side: usize, channels: usize) {
    for row in pixels.chunks_exact_mut(side * channels) {
        for x in 0..side / 2 {
            for c in 0..channels {
                row.swap(x * channels + c, (side - 1 - x) * channels + c);
            }
        }
    }
}

/// torchvision's `RandomResizedCrop.get_params`: ten tries at an area and a log-uniform ratio, then a central crop of the
/// nearest ratio. `libm` and not `std`: the same bits on every machine.
fn random_region(rng: &mut KeyedRng, width: u32, height: u32, smallest_area: f64) -> Region {
    const TRIES: u32 = 10;
    let (narrowest, widest) = (3.0_f64 / 4.0, 4.0_f64 / 3.0);
    let (w, h) = (f64::from(width), f64::from(height));
    for _ in 0..TRIES {
        let area = w * h * (smallest_area + (1.0 - smallest_area) * rng.unit());
        let (low, high) = (libm::log(narrowest), libm::log(widest));
        let ratio = libm::exp(low + (high - low) * rng.unit());
        let crop_w = libm::sqrt(area * ratio).round() as u32;
        let crop_h = libm::sqrt(area / ratio).round() as u32;
        if (1..=width).contains(&crop_w) && (1..=height).contains(&crop_h) {
            let top = rng.below(u64::from(height - crop_h) + 1) as u32;
            let left = rng.below(u64::from(width - crop_w) + 1) as u32;
            return Region { left, top, width: crop_w, height: crop_h };
        }
    }
    let (crop_w, crop_h) = if w / h < narrowest {
        (width, (w / narrowest).round() as u32)
    } else if w / h > widest {
        ((h * widest).round() as u32, height)
    } else {
        (width, height)
    };
    let (crop_w, crop_h) = (crop_w.clamp(1, width), crop_h.clamp(1, height));
    Region { left: (width - crop_w) / 2, top: (height - crop_h) / 2, width: crop_w, height: crop_h }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_crop_lies_inside_and_has_the_area_and_ratio_it_should() {
        for seed in 0..2_000_u64 {
            let mut rng = KeyedRng::new("test", &[&seed.to_le_bytes()]);
            let region = random_region(&mut rng, 300, 256, 0.08);
            assert!(
                region.left + region.width <= 300 && region.top + region.height <= 256,
                "{region:?}"
            );
            let area = f64::from(region.width * region.height) / (300.0 * 256.0);
            assert!((0.075..=1.0).contains(&area), "{area}");
            let ratio = f64::from(region.width) / f64::from(region.height);
            assert!((0.73..=1.37).contains(&ratio), "{ratio}");
        }
    }

    #[test]
    fn a_picture_too_narrow_for_any_ratio_gets_the_central_crop() {
        let mut rng = KeyedRng::new("test", &[]);
        let region = random_region(&mut rng, 1000, 10, 0.9);
        assert_eq!(region, Region { left: 493, top: 0, width: 13, height: 10 });
    }

    #[test]
    fn a_mirror_swaps_pixels_and_not_channels() {
        let mut pixels = vec![1, 2, 3, 4, 5, 6, 7, 8, 9];
        mirror_rows(&mut pixels, 3, 3);
        assert_eq!(pixels, [7, 8, 9, 4, 5, 6, 1, 2, 3]);
    }

    #[test]
    fn a_part_of_a_wide_picture_is_cut() {
        let picture =
            Picture { width: 5, height: 2, channels: 1, pixels: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9] };
        let mut out = [0; 4];
        cut(&picture, (1, 0), 2, &mut out);
        assert_eq!(out, [1, 2, 6, 7]);
    }

    #[test]
    fn normalisation_is_torchvisions_in_f32() {
        let imagenet = lookup(Normalisation::IMAGENET);
        assert_eq!(imagenet[0][255], (1.0_f32 - 0.485) / 0.229);
        assert_eq!(imagenet[2][0], (0.0_f32 - 0.406) / 0.225);
        let digits = lookup(Normalisation::share_of(16));
        for value in 0..=16_u8 {
            assert_eq!(digits[0][usize::from(value)], f32::from(value) / 16.0);
        }
    }
}
