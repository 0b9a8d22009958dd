//! Bytes of a file → an RGB picture, whatever the bytes are: by magic bytes, bounded in memory, never a panic.
//!
//! Not for resizing ([`crate::resize`]) nor for deciding which files belong to a data set ([`crate::manifest`]).

mod facts;
mod orientation;
mod settings;

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{DynamicImage, ImageDecoder, Limits, codecs::gif::GifDecoder, codecs::png::PngDecoder};
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

pub use facts::{Facts, Format, PixelKind};
pub use settings::{Alpha, Color, Decode, Gif, OnError, Orientation};

/// Bumped when decoding or resizing changes pixels, so that content digests and caches change their names.
pub(crate) const PIXELS_VERSION: u32 = 1;

/// A picture: `height` rows of `width` pixels of three bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb {
    /// Pixels across, ≥ 1.
    pub width: u32,
    /// Pixels down, ≥ 1.
    pub height: u32,
    /// 3 · width · height bytes.
    pub pixels: Vec<u8>,
}

/// Why a file is no picture for us. Retrying cannot help.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Magic bytes of none of the known formats.
    #[error("not a picture of a known format (known by their first bytes: JPEG, PNG, GIF)")]
    UnknownFormat,
    /// The header is cut off or makes no sense.
    #[error("the header of this {0} is cut off or makes no sense")]
    Header(&'static str),
    /// More pixels than the manifest allows.
    #[error("{width}×{height} is {pixels} pixels, but `max_pixels` is {allowed}")]
    TooLarge {
        /// Pixels across, as the header says.
        width: u32,
        /// Pixels down, as the header says.
        height: u32,
        /// Their product.
        pixels: u64,
        /// The manifest's limit.
        allowed: u64,
    },
    /// CMYK without the marker that says how its inks are stored.
    #[error("a CMYK JPEG without an Adobe marker has no defined colours; convert it to RGB")]
    Cmyk,
    /// The decoder refused: truncated, corrupt, or a variant it does not know.
    #[error("this {format} cannot be decoded: {reason}")]
    Decoder {
        /// The format by magic bytes.
        format: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// A picture of another size than the header promised, or more pixels than the file can hold.
    #[error("this {0} holds another number of pixels than its header says")]
    Lies(&'static str),
}

/// The picture in `bytes`, upright, without alpha, in three channels.
///
/// # Errors
/// [`DecodeError`]; any bytes at all end in a picture or in one of these.
pub fn decode(bytes: &[u8], settings: &Decode) -> Result<Rgb, DecodeError> {
    let facts = Facts::of(bytes)?;
    if facts.pixels() > settings.max_pixels {
        let (width, height) = (facts.width, facts.height);
        return Err(DecodeError::TooLarge {
            width,
            height,
            pixels: facts.pixels(),
            allowed: settings.max_pixels,
        });
    }
    let format = facts.format.name();
    // Decoders are other people's code on hostile bytes: a panic in one must not take the process along.
    let decoded = catch_unwind(AssertUnwindSafe(|| match facts.format {
        Format::Jpeg => jpeg(bytes, &facts),
        Format::Png => png(bytes, &facts, settings),
        Format::Gif => gif(bytes, &facts, settings),
        Format::Table => Err(DecodeError::UnknownFormat),
    }));
    let (mut rgb, stored) = decoded.unwrap_or_else(|_| {
        Err(DecodeError::Decoder { format, reason: "the decoder panicked".into() })
    })?;
    if rgb.pixels.len() as u64 != 3 * u64::from(rgb.width) * u64::from(rgb.height)
        || rgb.pixels.is_empty()
    {
        return Err(DecodeError::Lies(format));
    }
    if settings.color == Color::Grey {
        luma(&mut rgb.pixels);
    }
    Ok(match settings.exif_orientation {
        Orientation::Apply => orientation::upright(rgb, stored),
        Orientation::Ignore => rgb,
    })
}

/// A picture and its EXIF orientation, 1..=8.
type Stored = Result<(Rgb, u8), DecodeError>;

fn jpeg(bytes: &[u8], facts: &Facts) -> Stored {
    let refused = |error: &dyn std::fmt::Display| DecodeError::Decoder {
        format: "JPEG",
        reason: error.to_string(),
    };
    if facts.pixel == PixelKind::Cmyk && !has_adobe_marker(bytes) {
        return Err(DecodeError::Cmyk);
    }
    // Each 8×8 block takes a bit in the first scan of a progressive file and two in a sequential one: less is a lie about the size.
    let blocks = u64::from(facts.width.div_ceil(8)) * u64::from(facts.height.div_ceil(8));
    if blocks * if facts.progressive { 1 } else { 2 } > 8 * bytes.len() as u64 {
        return Err(DecodeError::Lies("JPEG"));
    }
    // Strict: a truncated file is an error, not a picture with a grey end. The size limits hold a second frame header to the first.
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(facts.width as usize)
        .set_max_height(facts.height as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let pixels = decoder.decode().map_err(|error| refused(&error))?;
    let (width, height) = decoder.dimensions().ok_or(DecodeError::Header("JPEG"))?;
    let orientation = decoder.exif().map_or(1, |raw| orientation::of_exif(raw));
    Ok((Rgb { width: width as u32, height: height as u32, pixels }, orientation))
}

/// Whether an APP14 "Adobe" segment is there, which says that CMYK inks are stored inverted.
fn has_adobe_marker(bytes: &[u8]) -> bool {
    bytes.windows(9).take(1 << 16).any(|w| w[..2] == [0xff, 0xee] && &w[4..] == b"Adobe")
}

fn png(bytes: &[u8], facts: &Facts, settings: &Decode) -> Stored {
    let refused = |error: image::ImageError| DecodeError::Decoder {
        format: "PNG",
        reason: error.to_string(),
    };
    let mut decoder =
        PngDecoder::with_limits(Cursor::new(bytes), limits(facts)).map_err(refused)?;
    let orientation =
        decoder.exif_metadata().ok().flatten().map_or(1, |raw| orientation::of_exif(&raw));
    let image = DynamicImage::from_decoder(decoder).map_err(refused)?;
    Ok((without_alpha(image, settings.alpha), orientation))
}

fn gif(bytes: &[u8], facts: &Facts, settings: &Decode) -> Stored {
    let refused = |error: image::ImageError| DecodeError::Decoder {
        format: "GIF",
        reason: error.to_string(),
    };
    let mut decoder = GifDecoder::new(Cursor::new(bytes)).map_err(refused)?;
    decoder.set_limits(limits(facts)).map_err(refused)?;
    let image = DynamicImage::from_decoder(decoder).map_err(refused)?;
    Ok((without_alpha(image, settings.alpha), 1))
}

/// Room for the promised pixels at 16 bit RGBA, twice, and for the decoder's own small tables.
fn limits(facts: &Facts) -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(facts.width);
    limits.max_image_height = Some(facts.height);
    limits.max_alloc = Some(facts.pixels() * 16 + (16 << 20));
    limits
}

fn without_alpha(image: DynamicImage, alpha: Alpha) -> Rgb {
    let (width, height) = (image.width(), image.height());
    if !image.color().has_alpha() {
        return Rgb { width, height, pixels: image.into_rgb8().into_raw() };
    }
    let rgba = image.into_rgba8().into_raw();
    let pixels = match alpha {
        Alpha::Drop => rgba.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect(),
        Alpha::Background(ground) => rgba
            .chunks_exact(4)
            .flat_map(|p| {
                let over = |c: usize| laid_over(p[c], ground[c], p[3]);
                [over(0), over(1), over(2)]
            })
            .collect(),
    };
    Rgb { width, height, pixels }
}

/// `front` with `alpha` over `ground`, rounded to nearest.
fn laid_over(front: u8, ground: u8, alpha: u8) -> u8 {
    let alpha = u32::from(alpha);
    ((u32::from(front) * alpha + u32::from(ground) * (255 - alpha) + 127) / 255) as u8
}

/// ITU-R 601 luma as Pillow computes it: (19595 R + 38470 G + 7471 B + 2¹⁵) / 2¹⁶.
fn luma(pixels: &mut [u8]) {
    for p in pixels.chunks_exact_mut(3) {
        let sum =
            19_595 * u32::from(p[0]) + 38_470 * u32::from(p[1]) + 7_471 * u32::from(p[2]) + 0x8000;
        p.fill((sum >> 16) as u8);
    }
}
