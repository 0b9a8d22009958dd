//! What is in a packed file, read from its end: to show single pictures from wherever the file lies, without reading it whole.
//!
//! Bytes read like this are not verified. Good for showing, never for training: that is [`Packed`](super::Packed)'s.

use std::ops::Range;

use fast_image_resize::Resizer;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use serde::Deserialize;
use sweep_core::ids::Digest;

use super::header::FOOTER;
use super::{MAX_IMAGE_SIZE, PACK_VERSION};
use crate::resize::{Region, resize_into};

/// Bytes at the end of a packed file that say where its header lies.
pub const TAIL: u64 = FOOTER as u64;

/// Bytes of a header at most: about 200,000 pictures.
const HEADER_MAX: u64 = 48 << 20;
/// Bytes of one packed picture at most.
const PICTURE_MAX: u64 = 32 << 20;

/// The validation pictures of a packed file, in the order that result bits follow.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// Digest of what decides pixels and labels, as in the data set's info.
    pub content: Digest,
    /// Digest of the split, as in the data set's info.
    pub split: Digest,
    /// Side of a view.
    pub image_size: u32,
    channels: u8,
    divisor: f32,
    pictures: Vec<Place>,
}

/// Where a picture lies.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    path: Box<str>,
    width: u32,
    height: u32,
    offset: u64,
}

/// Where the header of a packed file of `size` bytes lies, by its last [`TAIL`] bytes; `None` for what is no packed file.
pub fn header_range(size: u64, tail: &[u8]) -> Option<Range<u64>> {
    let number = |at: usize| tail.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let (start, len) = (number(0)?, number(8)?);
    let end = start.checked_add(len)?;
    let fits = tail.len() as u64 == TAIL && end.checked_add(TAIL)? == size && len <= HEADER_MAX;
    fits.then_some(start..end)
}

/// What is wanted of a header; the rest is passed over.
#[derive(Deserialize)]
struct Wanted {
    version: u32,
    content: Digest,
    split: Digest,
    image_size: u32,
    channels: u8,
    normalisation: super::Normalisation,
    train: usize,
    examples: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    path: Box<str>,
    width: u32,
    height: u32,
    offset: u64,
}

impl Contents {
    /// What the header that lies at `at` says; `None` when it makes no sense or is of another version.
    pub fn parse(header: &[u8], at: u64) -> Option<Self> {
        let found: Wanted = serde_json::from_slice(header).ok()?;
        let Wanted { version, content, split, image_size, channels, normalisation, .. } = found;
        let pictures: Vec<Place> = found
            .examples
            .into_iter()
            .skip(found.train)
            .map(|Entry { path, width, height, offset }| Place { path, width, height, offset })
            .collect();
        let has_side = (1..=MAX_IMAGE_SIZE).contains(&image_size);
        let fits = version == PACK_VERSION
            && matches!(channels, 1 | 3)
            && has_side
            && pictures.iter().all(|place| {
                let end = place.bytes(channels).and_then(|len| place.offset.checked_add(len));
                place.width.min(place.height) >= image_size && end.is_some_and(|end| end <= at)
            });
        let divisor = normalisation.divisor;
        fits.then_some(Self { content, split, image_size, channels, divisor, pictures })
    }

    /// Number of validation pictures.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// The file of validation picture `i`, relative to the data set's folder.
    pub fn path(&self, i: usize) -> Option<&str> {
        self.pictures.get(i).map(|place| &*place.path)
    }

    /// Where the bytes of validation picture `i` lie; `None` beyond the last, and for one too large to be shown.
    pub fn range(&self, i: usize) -> Option<Range<u64>> {
        let place = self.pictures.get(i)?;
        let bytes = place.bytes(self.channels).filter(|bytes| *bytes <= PICTURE_MAX)?;
        Some(place.offset..place.offset + bytes)
    }

    /// Validation picture `i` as a network sees it in evaluation, at most `side` pixels wide and high, as a PNG; `bytes` are those
    /// of [`Self::range`]. `None` when they are not, or `side` is 0.
    pub fn thumbnail(&self, i: usize, bytes: &[u8], side: u32) -> Option<Vec<u8>> {
        let place = self.pictures.get(i)?;
        if bytes.len() as u64 != place.bytes(self.channels)? || side == 0 {
            return None;
        }
        let (crop, to) = (self.image_size, self.image_size.min(side));
        let channels = usize::from(self.channels);
        let centre = Region {
            left: (place.width - crop) / 2,
            top: (place.height - crop) / 2,
            width: crop,
            height: crop,
        };
        let mut pixels = vec![0; to as usize * to as usize * channels];
        let size = (place.width, place.height);
        resize_into(&mut Resizer::new(), bytes, size, channels, centre, (to, to), &mut pixels);
        // Tables count to less than 255, and their largest value is white.
        if self.divisor > 0.0 && self.divisor != 255.0 {
            for value in &mut pixels {
                *value = (f32::from(*value) / self.divisor * 255.0).round() as u8;
            }
        }
        let mut png = Vec::new();
        let kind = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        PngEncoder::new(&mut png).write_image(&pixels, to, to, kind).ok()?;
        Some(png)
    }
}

impl Place {
    fn bytes(&self, channels: u8) -> Option<u64> {
        (u64::from(self.width) * u64::from(self.height)).checked_mul(u64::from(channels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DataSet;
    use crate::view::Viewer;

    fn read(bytes: &[u8]) -> Option<Contents> {
        let size = bytes.len() as u64;
        let header = header_range(size, bytes.get(bytes.len().checked_sub(FOOTER)?..)?)?;
        Contents::parse(&bytes[header.start as usize..header.end as usize], header.start)
    }

    #[test]
    fn a_thumbnail_shows_what_the_network_sees() {
        let dir = tempfile::tempdir().unwrap();
        let digits = DataSet::builtin("digits").unwrap().unwrap();
        let packed = digits.pack(8, dir.path(), &|_| {}).unwrap();
        let bytes = std::fs::read(packed.path()).unwrap();
        let contents = read(&bytes).unwrap();
        assert_eq!((contents.len(), contents.image_size), (packed.val().len(), 8));
        let mut viewer = Viewer::new();
        for i in [0, 100, contents.len() - 1] {
            let example = packed.val().start + i;
            assert_eq!(contents.path(i), Some(packed.path_of(example)));
            let range = contents.range(i).unwrap();
            let own = &bytes[range.start as usize..range.end as usize];
            let png = contents.thumbnail(i, own, 96).unwrap();
            let shown = image::load_from_memory(&png).unwrap().into_luma8();
            let seen = viewer.eval_pixels(&packed, example);
            let white: Vec<u8> =
                seen.iter().map(|v| (f32::from(*v) / 16.0 * 255.0).round() as u8).collect();
            assert_eq!(shown.as_raw(), &white);
            assert_eq!(contents.thumbnail(i, &own[1..], 96), None);
            let small = image::load_from_memory(&contents.thumbnail(i, own, 4).unwrap()).unwrap();
            assert_eq!((small.width(), small.height()), (4, 4));
        }
        assert_eq!(contents.range(contents.len()), None);
    }

    #[test]
    fn what_is_no_packed_file_has_no_contents() {
        let dir = tempfile::tempdir().unwrap();
        let digits = DataSet::builtin("digits").unwrap().unwrap();
        let packed = digits.pack(8, dir.path(), &|_| {}).unwrap();
        let bytes = std::fs::read(packed.path()).unwrap();
        assert_eq!(read(&[]), None);
        assert_eq!(read(&bytes[..bytes.len() - 1]), None);
        assert_eq!(read(&[0; 500]), None);
        let end = bytes.len() - FOOTER;
        let header = header_range(bytes.len() as u64, &bytes[end..]).unwrap();
        let text = &bytes[header.start as usize..header.end as usize];
        assert_eq!(Contents::parse(text, 100), None, "pictures must lie before the header");
        assert_eq!(Contents::parse(&text[1..], header.start), None);
    }
}
