//! What a file's header says of itself, read from magic bytes and never from the extension.
//!
//! Not for pixels: [`super::decode`] reads those, after the size found here was checked.

use serde::{Deserialize, Serialize};

use super::DecodeError;

/// A format told by its magic bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `FF D8 FF`.
    Jpeg,
    /// `89 P N G`.
    Png,
    /// `GIF87a` or `GIF89a`.
    Gif,
    /// A row of a table of numbers, such as the embedded digits.
    Table,
}

impl Format {
    /// The format these bytes begin with.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            Some(Self::Jpeg)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
            Some(Self::Gif)
        } else {
            None
        }
    }

    /// The word used in texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::Table => "table",
        }
    }
}

/// What one pixel of the file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PixelKind {
    /// One value.
    Grey,
    /// One value and alpha.
    GreyAlpha,
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue, alpha.
    Rgba,
    /// An index into colours, which may be transparent.
    Palette,
    /// Printing inks.
    Cmyk,
}

impl PixelKind {
    /// The word used in texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grey => "grey",
            Self::GreyAlpha => "grey+alpha",
            Self::Rgb => "RGB",
            Self::Rgba => "RGBA",
            Self::Palette => "palette",
            Self::Cmyk => "CMYK",
        }
    }
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// By magic bytes.
    pub format: Format,
    /// Pixels across, before orientation.
    pub width: u32,
    /// Pixels down, before orientation.
    pub height: u32,
    /// What a pixel holds.
    pub pixel: PixelKind,
    /// Bits per channel.
    pub depth: u8,
    /// Whether a JPEG is progressive.
    pub progressive: bool,
}

impl Facts {
    /// What the header of `bytes` says.
    ///
    /// # Errors
    /// [`DecodeError::UnknownFormat`] or [`DecodeError::Header`]; retrying cannot help.
    pub fn of(bytes: &[u8]) -> Result<Self, DecodeError> {
        let format = Format::of(bytes).ok_or(DecodeError::UnknownFormat)?;
        let facts = match format {
            Format::Jpeg => jpeg(bytes),
            Format::Png => png(bytes),
            Format::Gif => gif(bytes),
            Format::Table => None,
        };
        facts.filter(|f| f.width > 0 && f.height > 0).ok_or(DecodeError::Header(format.name()))
    }

    /// Width times height.
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// Walks the segments to the frame header (SOF), ITU T.81 annex B.
fn jpeg(bytes: &[u8]) -> Option<Facts> {
    let mut at = 2;
    loop {
        while *bytes.get(at)? == 0xff && *bytes.get(at + 1)? == 0xff {
            at += 1;
        }
        if *bytes.get(at)? != 0xff {
            return None;
        }
        let marker = *bytes.get(at + 1)?;
        if matches!(marker, 0x01 | 0xd0..=0xd8) {
            at += 2;
            continue;
        }
        let length = be16(bytes, at + 2)?;
        let is_frame = matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc);
        if is_frame {
            let pixel = match *bytes.get(at + 9)? {
                1 | 2 => PixelKind::Grey,
                3 => PixelKind::Rgb,
                4 => PixelKind::Cmyk,
                _ => return None,
            };
            return Some(Facts {
                format: Format::Jpeg,
                width: be16(bytes, at + 7)?,
                height: be16(bytes, at + 5)?,
                pixel,
                depth: *bytes.get(at + 4)?,
                progressive: marker & 0x03 == 2,
            });
        }
        if matches!(marker, 0xd9 | 0xda) || length < 2 {
            return None;
        }
        at += 2 + length as usize;
    }
}

/// Reads IHDR, the first chunk of every PNG.
fn png(bytes: &[u8]) -> Option<Facts> {
    if bytes.get(12..16)? != b"IHDR" {
        return None;
    }
    let pixel = match *bytes.get(25)? {
        0 => PixelKind::Grey,
        2 => PixelKind::Rgb,
        3 => PixelKind::Palette,
        4 => PixelKind::GreyAlpha,
        6 => PixelKind::Rgba,
        _ => return None,
    };
    let (width, height, depth) = (be32(bytes, 16)?, be32(bytes, 20)?, *bytes.get(24)?);
    Some(Facts { format: Format::Png, width, height, pixel, depth, progressive: false })
}

/// Reads the logical screen.
fn gif(bytes: &[u8]) -> Option<Facts> {
    let little = |at: usize| Some(u32::from(*bytes.get(at)?) | u32::from(*bytes.get(at + 1)?) << 8);
    let (width, height) = (little(6)?, little(8)?);
    Some(Facts {
        format: Format::Gif,
        width,
        height,
        pixel: PixelKind::Palette,
        depth: 8,
        progressive: false,
    })
}

fn be16(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from(*bytes.get(at)?) << 8 | u32::from(*bytes.get(at + 1)?))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(be16(bytes, at)? << 16 | be16(bytes, at + 2)?)
}
