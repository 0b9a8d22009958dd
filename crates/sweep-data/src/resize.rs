//! Bilinear with antialias (Pillow's `BILINEAR`), the only way pictures change their size here.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use crate::decode::Rgb;

/// Short side of a cached picture for a crop of `image_size`: round(`image_size` · 256/224), halves up.
pub fn short_side(image_size: u32) -> u32 {
    u32::try_from((u64::from(image_size) * 16 + 7) / 14).unwrap_or(u32::MAX).max(1)
}

/// Width and height with the short side at `side`, in the same aspect, the long side rounded (halves up).
pub(crate) fn fitted(width: u32, height: u32, side: u32) -> (u64, u64) {
    let (short, long) = (u64::from(width.min(height)).max(1), u64::from(width.max(height)));
    let side = u64::from(side);
    let long = (2 * long * side + short) / (2 * short);
    if width <= height { (side, long) } else { (long, side) }
}

/// Part of a picture, in whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) left: u32,
    pub(crate) top: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// Resizes `region` of a picture of `channels` (1 or 3) interleaved bytes to `to` = (width, height), into `out`.
///
/// # Panics
/// When lengths, sizes and region do not fit together: the caller's fault, not the data's.
pub(crate) fn resize_into(
    resizer: &mut Resizer,
    pixels: &[u8],
    size: (u32, u32),
    channels: usize,
    region: Region,
    to: (u32, u32),
    out: &mut [u8],
) {
    match channels {
        1 => resize_typed::<U8>(resizer, pixels, size, region, to, out),
        _ => resize_typed::<U8x3>(resizer, pixels, size, region, to, out),
    }
}

/// For one pixel type: the crate's own choice at run time would compile every resizer of every pixel type into this crate.
fn resize_typed<P: PixelTrait>(
    resizer: &mut Resizer,
    pixels: &[u8],
    size: (u32, u32),
    region: Region,
    to: (u32, u32),
    out: &mut [u8],
) {
    let source = TypedImageRef::<P>::from_buffer(size.0, size.1, pixels);
    let source = source.expect("a picture has width · height · channels bytes");
    let mut target =
        TypedImage::<P>::from_buffer(to.0, to.1, out).expect("the caller gave room for the result");
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .use_alpha(false)
        .crop(
            f64::from(region.left),
            f64::from(region.top),
            f64::from(region.width),
            f64::from(region.height),
        );
    resizer
        .resize_typed(&source, &mut target, &options)
        .expect("the region lies inside the picture");
}

/// The whole picture at another size, bilinear with antialias.
///
/// # Panics
/// For a size of 0 or a picture whose bytes do not match its size.
pub fn resized_to(rgb: &Rgb, width: u32, height: u32) -> Rgb {
    Rgb { width, height, pixels: resized(&mut Resizer::new(), rgb, (width, height)) }
}

/// The pixels of the whole picture at another size.
pub(crate) fn resized(resizer: &mut Resizer, rgb: &Rgb, to: (u32, u32)) -> Vec<u8> {
    let mut out = vec![0; 3 * to.0 as usize * to.1 as usize];
    let whole = Region { left: 0, top: 0, width: rgb.width, height: rgb.height };
    resize_into(resizer, &rgb.pixels, (rgb.width, rgb.height), 3, whole, to, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_side_of_224_is_256_and_halves_round_up() {
        assert_eq!([224, 64, 8, 7, 112].map(short_side), [256, 73, 9, 8, 128]);
        for s in 1..2000 {
            assert_eq!(short_side(s), (f64::from(s) * 256.0 / 224.0 + 0.5).floor() as u32, "{s}");
        }
    }

    #[test]
    fn the_long_side_keeps_the_aspect() {
        assert_eq!(fitted(640, 427, 256), (384, 256));
        assert_eq!(fitted(427, 640, 256), (256, 384));
        assert_eq!(fitted(5, 5, 9), (9, 9));
        assert_eq!(fitted(1, 1_000_000, 256), (256, 256_000_000));
    }
}
