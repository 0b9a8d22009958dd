//! Features on disk, by what they were made from: shared by slots and processes, verified when read.
//!
//! A file's name is a digest of everything that decides its content, so a file is never changed, only made. Whoever makes it holds a
//! lock beside it, so that two slots do not compute the same features at once.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sweep_core::canonical;
use sweep_core::ids::Digest;
use sweep_core::model::Backbone;
use sweep_core::result::DeviceKind;

/// Starts every file; the last digit changes with the format.
const MAGIC: &[u8; 8] = b"SWPFEAT1";

/// Raised by hand when a change of the code changes features of the same inputs.
const SEMANTICS: u32 = 1;

/// Everything that decides features.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    /// [`sweep_core::dataset::DataSetRef::content`].
    pub content: Digest,
    /// [`sweep_core::dataset::DataSetRef::split`]: decides order and number of images.
    pub split: Digest,
    /// Side of the evaluation view.
    pub image_size: u32,
    /// The network.
    pub backbone: Backbone,
    /// sha256 of its weights; `None`: random ones.
    pub weights: Option<String>,
    /// Where they are computed: kernels of a GPU round otherwise.
    pub device: DeviceKind,
}

impl Key {
    /// The name of the file.
    fn file(&self) -> String {
        format!("features-{}.bin", canonical::digest(&(SEMANTICS, self)))
    }
}

/// A folder of features.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// The right to make the features of one key.
#[derive(Debug)]
pub struct Making {
    path: PathBuf,
    _lock: Option<File>,
}

/// What a look into the cache found.
#[derive(Debug)]
pub enum Look {
    /// The features, [N, D] row-major.
    Found(Vec<f32>),
    /// Nobody has made them, and nobody else is about to.
    Make(Making),
    /// Somebody is making them: look again later.
    Busy,
}

impl Cache {
    /// The cache in `folder`, which need not exist yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Looks for `count` numbers of `key`. A file that is damaged is made anew; a folder that cannot be locked is not worth
    /// failing a run for.
    pub fn look(&self, key: &Key, count: usize) -> Look {
        let path = self.folder.join(key.file());
        if let Some(found) = read(&path, count) {
            return Look::Found(found);
        }
        let lock = match lock(&path) {
            Ok(lock) => lock,
            Err(TryLockError::WouldBlock) => return Look::Busy,
            Err(TryLockError::Error(error)) => {
                tracing::warn!(path = %path.display(), %error, "features cannot be locked: they may be computed twice");
                return Look::Make(Making { path, _lock: None });
            }
        };
        // Whoever held the lock a moment ago may have made them.
        match read(&path, count) {
            Some(found) => Look::Found(found),
            None => Look::Make(Making { path, _lock: Some(lock) }),
        }
    }
}

impl Making {
    /// Keeps `rows` for others. They are at hand already, so a full disk costs a warning, not the run.
    pub fn keep(self, rows: &[f32]) {
        if let Err(error) = write(&self.path, rows) {
            tracing::warn!(path = %self.path.display(), %error, "features cannot be kept");
        }
    }
}

fn lock(path: &Path) -> Result<File, TryLockError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(TryLockError::Error)?;
    }
    let lock = path.with_extension("lock");
    let file = File::options().create(true).truncate(false).write(true).open(lock);
    let file = file.map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

/// `None` where there is no file, and, with a warning, where it is not what it should be.
fn read(path: &Path, count: usize) -> Option<Vec<f32>> {
    let file = File::open(path).ok()?;
    let found = sound(file, count);
    if found.is_none() {
        tracing::warn!(path = %path.display(), "cached features are damaged: computing them again");
    }
    found
}

fn sound(mut file: File, count: usize) -> Option<Vec<f32>> {
    let length = count.checked_mul(4)?;
    let whole = MAGIC.len() + 32 + length;
    if file.metadata().ok()?.len() != whole as u64 {
        return None;
    }
    let mut bytes = Vec::with_capacity(whole);
    file.read_to_end(&mut bytes).ok()?;
    let (digest, numbers) = bytes.strip_prefix(MAGIC)?.split_at_checked(32)?;
    if numbers.len() != length || blake3::hash(numbers).as_bytes() != digest {
        return None;
    }
    let (numbers, _) = numbers.as_chunks::<4>();
    Some(numbers.iter().map(|&n| f32::from_le_bytes(n)).collect())
}

fn write(path: &Path, rows: &[f32]) -> std::io::Result<()> {
    let numbers: Vec<u8> = rows.iter().flat_map(|v| v.to_le_bytes()).collect();
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(MAGIC)?;
    file.write_all(blake3::hash(&numbers).as_bytes())?;
    file.write_all(&numbers)?;
    file.as_file().sync_data()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

    use super::*;

    fn key(image_size: u32) -> Key {
        Key {
            content: Digest([1; 32]),
            split: Digest([2; 32]),
            image_size,
            backbone: Backbone::Resnet50,
            weights: None,
            device: DeviceKind::Cpu,
        }
    }

    fn make(look: Look) -> Making {
        match look {
            Look::Make(making) => making,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_one_made_another_finds_and_nobody_makes_twice() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(&folder.path().join("deep"));
        let making = make(cache.look(&key(224), 3));
        assert!(matches!(cache.look(&key(224), 3), Look::Busy));
        drop(make(cache.look(&key(64), 3)));
        making.keep(&[1.0, -0.5, 3.0]);
        assert!(matches!(cache.look(&key(224), 3), Look::Found(rows) if rows == [1.0, -0.5, 3.0]));
        assert!(matches!(cache.look(&key(225), 3), Look::Make(_)));
    }

    #[test]
    fn a_damaged_or_foreign_file_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        make(cache.look(&key(8), 2)).keep(&[1.0, 2.0]);
        drop(make(cache.look(&key(8), 3)));
        let path = folder.path().join(key(8).file());
        let whole = std::fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            drop(make(cache.look(&key(8), 2)));
        }
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        make(cache.look(&key(8), 2)).keep(&[3.0, 4.0]);
        assert!(matches!(cache.look(&key(8), 2), Look::Found(rows) if rows == [3.0, 4.0]));
    }

    #[test]
    fn one_who_was_killed_while_making_holds_up_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        drop(make(cache.look(&key(8), 2)));
        make(cache.look(&key(8), 2)).keep(&[1.0, 2.0]);
    }
}
