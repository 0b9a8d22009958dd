//! Decoding into a packed file: in parallel, written in order, put in place by one rename.

use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use fast_image_resize::Resizer;

use super::header::{Entry, Header, MAGIC, Normalisation};
use super::{PACK_VERSION, PackError, Progress};
use crate::dataset::{DataSet, Example, Pixels};
use crate::decode;
use crate::hash::Sha256;
use crate::parallel;
use crate::part::Part;
use crate::resize::{fitted, resized, short_side};

/// Pictures decoded before they are written: enough to keep threads busy, few enough to bound memory (64 at 256×384 are 19 MB).
const BATCH: usize = 64;

/// A picture as it is stored.
struct Stored {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

/// Writes the packed file at `path`; whoever else writes it at the same time writes the same bytes.
pub(super) fn write(
    set: &DataSet,
    image_size: u32,
    path: &Path,
    threads: usize,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<(), PackError> {
    let cache = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(cache).map_err(PackError::io(cache))?;
    let temporary = tempfile::NamedTempFile::new_in(cache).map_err(PackError::io(cache))?;
    let mut out =
        Hashed { file: BufWriter::new(temporary), hasher: blake3::Hasher::new(), written: 0 };
    out.put(MAGIC).map_err(PackError::io(path))?;
    let examples = set.examples();
    let done = AtomicUsize::new(0);
    let mut entries = Vec::with_capacity(examples.len());
    for start in (0..examples.len()).step_by(BATCH) {
        let count = BATCH.min(examples.len() - start);
        let pictures = parallel::map(count, threads, |i| {
            let stored = picture(set, start + i, image_size);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            progress(Progress { done, total: examples.len(), path: &examples[start + i].path });
            stored
        });
        for (example, stored) in examples[start..].iter().zip(pictures) {
            let stored = stored?;
            entries.push(entry(example, &stored, out.written));
            out.put(&stored.pixels).map_err(PackError::io(path))?;
        }
    }
    let header = serde_json::to_vec(&header(set, image_size, entries))
        .expect("a header has string keys and finite numbers only");
    let at = out.written;
    out.put(&header).map_err(PackError::io(path))?;
    out.put(&at.to_le_bytes()).map_err(PackError::io(path))?;
    out.put(&(header.len() as u64).to_le_bytes()).map_err(PackError::io(path))?;
    let digest = *out.hasher.finalize().as_bytes();
    out.put(&digest).map_err(PackError::io(path))?;
    let temporary =
        out.file.into_inner().map_err(|error| PackError::io(path)(error.into_error()))?;
    temporary.as_file().sync_all().map_err(PackError::io(path))?;
    temporary.persist(path).map_err(|error| PackError::io(path)(error.error))?;
    Ok(())
}

/// A file that knows the hash and the number of what went into it.
struct Hashed {
    file: BufWriter<tempfile::NamedTempFile>,
    hasher: blake3::Hasher,
    written: u64,
}

impl Hashed {
    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

fn picture(set: &DataSet, i: usize, image_size: u32) -> Result<Stored, PackError> {
    let bytes = set.bytes_of(i)?;
    let path = &set.examples()[i].path;
    if let Pixels::Table(table, _) = &set.pixels {
        return Ok(Stored { width: table.side, height: table.side, pixels: bytes.into_owned() });
    }
    if Sha256::of(&bytes) != set.examples()[i].sha256 {
        return Err(PackError::Changed { path: path.clone() });
    }
    let settings = set.manifest().decode();
    let rgb = decode::decode(&bytes, settings)
        .map_err(|error| PackError::Picture { path: path.clone(), error })?;
    let side = short_side(image_size);
    let (width, height) = fitted(rgb.width, rgb.height, side);
    if width.saturating_mul(height) > settings.max_pixels.max(u64::from(side) * u64::from(side)) {
        let (width, height) = (rgb.width, rgb.height);
        return Err(PackError::TooNarrow {
            path: path.clone(),
            width,
            height,
            side,
            allowed: settings.max_pixels,
        });
    }
    let (width, height) = (width as u32, height as u32);
    let pixels = resized(&mut Resizer::new(), &rgb, (width, height));
    Ok(Stored { width, height, pixels })
}

fn entry(example: &Example, stored: &Stored, offset: u64) -> Entry {
    Entry {
        path: example.path.clone(),
        label: example.label,
        sha256: example.sha256.to_string(),
        width: stored.width,
        height: stored.height,
        offset,
    }
}

fn header(set: &DataSet, image_size: u32, examples: Vec<Entry>) -> Header {
    let info = set.info();
    let normalisation = match &set.pixels {
        Pixels::Files(_) => Normalisation::IMAGENET,
        Pixels::Table(table, _) => Normalisation::share_of(table.maximum),
    };
    Header {
        version: PACK_VERSION,
        name: info.name.clone(),
        content: info.content,
        split: info.split,
        image_size,
        channels: info.channels,
        classes: info.classes.clone(),
        hflip: set.manifest().hflip(),
        normalisation,
        train: set.examples().iter().filter(|e| e.part == Part::Train).count(),
        examples,
    }
}
