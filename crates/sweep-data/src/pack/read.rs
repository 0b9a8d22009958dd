//! A packed file in memory: mapped, verified byte for byte, then only looked at.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use sweep_core::ids::Digest;

use super::header::{FOOTER, Header, MAGIC, Normalisation};
use super::{MAX_IMAGE_SIZE, PACK_VERSION, PackError};
use crate::hash::Sha256;
use crate::part::Part;

/// Packed pictures of one data set at one `image_size`. A clone shares the memory.
///
/// Examples are numbered train first, then val, within a part by (label, sha256, path): the bits of a result follow
/// [`Packed::val`].
#[derive(Clone, Debug)]
pub struct Packed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    map: Mmap,
    path: PathBuf,
    digest: Digest,
    header: Header,
    labels: Vec<u32>,
    sha256: Vec<Sha256>,
}

/// One packed picture: `height` rows of `width` pixels of `channels` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture<'a> {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// 1 or 3.
    pub channels: usize,
    /// height · width · channels bytes.
    pub pixels: &'a [u8],
}

impl Packed {
    /// Maps the file at `path` and verifies every byte of it.
    ///
    /// # Errors
    /// [`PackError::Io`], or [`PackError::Damaged`] for a file that is not whole, not ours, or of another version.
    pub fn open(path: &Path) -> Result<Self, PackError> {
        let file = File::open(path).map_err(PackError::io(path))?;
        #[expect(
            unsafe_code,
            reason = "packed files are put in place by a rename and never written again, so the map cannot change"
        )]
        let map = unsafe { Mmap::map(&file) }.map_err(PackError::io(path))?;
        let damaged = |what| PackError::Damaged { path: path.display().to_string(), what };
        if map.len() < MAGIC.len() + FOOTER || !map.starts_with(MAGIC) {
            return Err(damaged("not a packed data set of this version"));
        }
        let (body, sum) = map.split_at(map.len() - 32);
        let mut hasher = blake3::Hasher::new();
        hasher.update(body);
        if hasher.finalize().as_bytes() != sum {
            return Err(damaged("its bytes do not match its digest"));
        }
        let digest = Digest(*hasher.update(sum).finalize().as_bytes());
        let header = header(&map).ok_or_else(|| damaged("its header makes no sense"))?;
        let sha256 = sha256s(&header).ok_or_else(|| damaged("its header makes no sense"))?;
        let labels = header.examples.iter().map(|example| example.label).collect();
        Ok(Self(Arc::new(Inner { map, path: path.to_path_buf(), digest, header, labels, sha256 })))
    }

    /// blake3 of the whole file: its name as a blob.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Name of the data set it was packed from.
    pub fn name(&self) -> &str {
        &self.0.header.name
    }

    /// Digest of what decides pixels and labels, as in the data set's info.
    pub fn content(&self) -> Digest {
        self.0.header.content
    }

    /// Digest of the split, as in the data set's info.
    pub fn split(&self) -> Digest {
        self.0.header.split
    }

    /// Side of a view.
    pub fn image_size(&self) -> u32 {
        self.0.header.image_size
    }

    /// 1 or 3.
    pub fn channels(&self) -> usize {
        usize::from(self.0.header.channels)
    }

    /// Class names in label order.
    pub fn classes(&self) -> &[String] {
        &self.0.header.classes
    }

    /// Number of classes.
    pub fn class_count(&self) -> usize {
        self.0.header.classes.len()
    }

    /// Whether a training view may be mirrored.
    pub fn hflip(&self) -> bool {
        self.0.header.hflip
    }

    /// How bytes become network input.
    pub fn normalisation(&self) -> Normalisation {
        self.0.header.normalisation
    }

    /// Number of examples, both parts together.
    pub fn len(&self) -> usize {
        self.0.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.labels.is_empty()
    }

    /// The training examples.
    pub fn train(&self) -> Range<usize> {
        0..self.0.header.train
    }

    /// The validation examples, in the order that result bits follow.
    pub fn val(&self) -> Range<usize> {
        self.0.header.train..self.len()
    }

    /// What an example is for.
    pub fn part(&self, example: usize) -> Part {
        if example < self.0.header.train { Part::Train } else { Part::Val }
    }

    /// The label of an example.
    ///
    /// # Panics
    /// Beyond [`Packed::len`], as do the other lookups.
    pub fn label(&self, example: usize) -> u32 {
        self.0.labels[example]
    }

    /// Labels of [`Packed::train`].
    pub fn train_labels(&self) -> &[u32] {
        &self.0.labels[self.train()]
    }

    /// Labels of [`Packed::val`].
    pub fn val_labels(&self) -> &[u32] {
        &self.0.labels[self.val()]
    }

    /// Examples per class of a part, in label order.
    pub fn class_counts(&self, part: Part) -> Vec<u32> {
        let labels = if part == Part::Train { self.train_labels() } else { self.val_labels() };
        let mut counts = vec![0; self.class_count()];
        labels.iter().for_each(|label| counts[*label as usize] += 1);
        counts
    }

    /// An example's file, relative to the data set's folder.
    pub fn path_of(&self, example: usize) -> &str {
        &self.0.header.examples[example].path
    }

    /// The sha256 of an example's file.
    pub fn sha256_of(&self, example: usize) -> Sha256 {
        self.0.sha256[example]
    }

    /// An example's picture: its short side a little above [`Packed::image_size`], in its own aspect.
    pub fn picture(&self, example: usize) -> Picture<'_> {
        let entry = &self.0.header.examples[example];
        let pixels = &self.0.map[self.place(example)];
        Picture { width: entry.width, height: entry.height, channels: self.channels(), pixels }
    }

    /// All pictures one behind the other, each as [`Packed::picture`] has it.
    pub fn pictures(&self) -> &[u8] {
        let end = (0..self.len()).map(|example| self.place(example).end).max();
        &self.0.map[MAGIC.len()..end.unwrap_or(MAGIC.len())]
    }

    /// Where in [`Packed::pictures`] an example's picture begins.
    pub fn offset_of(&self, example: usize) -> usize {
        self.place(example).start - MAGIC.len()
    }

    /// Where in the file an example's picture is.
    fn place(&self, example: usize) -> Range<usize> {
        let entry = &self.0.header.examples[example];
        let start = entry.offset as usize;
        start..start + entry.width as usize * entry.height as usize * self.channels()
    }

    /// Numbers in one view: channels · `image_size`².
    pub fn view_len(&self) -> usize {
        self.channels() * self.image_size() as usize * self.image_size() as usize
    }
}

/// The header, if it is whole and every picture lies inside the file.
fn header(map: &[u8]) -> Option<Header> {
    let footer = &map[map.len() - FOOTER..];
    let number = |at: usize| footer.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    let (start, len) = (number(0)?, number(8)?);
    let end = start.checked_add(len)?;
    let text = map.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)?;
    let header: Header = serde_json::from_slice(text).ok()?;
    let fits = header.version == PACK_VERSION
        && matches!(header.channels, 1 | 3)
        && (1..=MAX_IMAGE_SIZE).contains(&header.image_size)
        && header.train <= header.examples.len()
        && header.examples.iter().all(|entry| {
            let bytes = u64::from(entry.width) * u64::from(entry.height);
            let end = bytes
                .checked_mul(u64::from(header.channels))
                .and_then(|len| entry.offset.checked_add(len));
            (entry.label as usize) < header.classes.len()
                && entry.offset >= MAGIC.len() as u64
                && entry.width.min(entry.height) >= header.image_size
                && end.is_some_and(|end| end <= start)
        });
    fits.then_some(header)
}

fn sha256s(header: &Header) -> Option<Vec<Sha256>> {
    let parsed = |text: &String| {
        data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(Sha256)
    };
    header.examples.iter().map(|entry| parsed(&entry.sha256)).collect()
}
