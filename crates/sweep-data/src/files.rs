//! The files of a data set's folder: listed, within its bounds, read whole and with a limit.
//!
//! Not for what the files are: [`crate::layout`] tells their class, [`crate::decode`] their picture.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use globset::GlobSet;
use walkdir::WalkDir;

use crate::error::LoadError;

/// Largest file that is read: the largest picture of the three known sets has 12 MB; whole files are held in memory, one per thread.
pub(crate) const MAX_FILE_BYTES: u64 = 256 << 20;

/// Files and folders below a root, as paths relative to it with `/`, in byte order.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) files: Vec<String>,
    pub(crate) folders: Vec<String>,
}

/// Lists what is below `root` and not ignored; an ignored folder is not entered.
pub(crate) fn list(root: &Path, ignore: &GlobSet) -> Result<Listing, LoadError> {
    let real_root = real(root)?;
    let mut listing = Listing::default();
    let mut walk = WalkDir::new(root).follow_links(true).min_depth(1).into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry.map_err(|error| LoadError::Io {
            path: error.path().unwrap_or(root).display().to_string(),
            error: error.into(),
        })?;
        let path = relative(root, entry.path())?;
        if ignore.is_match(&path) {
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
            continue;
        }
        if entry.path_is_symlink() && !real(entry.path())?.starts_with(&real_root) {
            return Err(LoadError::Escapes { path });
        }
        if entry.file_type().is_dir() {
            listing.folders.push(path);
        } else if entry.file_type().is_file() {
            listing.files.push(path);
        } else {
            return Err(LoadError::Special { path });
        }
    }
    listing.files.sort_unstable();
    listing.folders.sort_unstable();
    Ok(listing)
}

fn relative(root: &Path, path: &Path) -> Result<String, LoadError> {
    let inner = path.strip_prefix(root).unwrap_or(path);
    let parts: Option<Vec<&str>> =
        inner.components().map(|part| part.as_os_str().to_str()).collect();
    parts
        .map(|p| p.join("/"))
        .ok_or_else(|| LoadError::NotUtf8 { path: inner.to_string_lossy().into_owned() })
}

/// `path` without links.
fn real(path: &Path) -> Result<PathBuf, LoadError> {
    path.canonicalize().map_err(|error| LoadError::Io { path: path.display().to_string(), error })
}

/// The bytes of a file inside `root`; refuses links to the outside and files beyond [`MAX_FILE_BYTES`].
pub(crate) fn read(root: &Path, path: &str) -> Result<Vec<u8>, LoadError> {
    let full = root.join(path);
    if !real(&full)?.starts_with(real(root)?) {
        return Err(LoadError::Escapes { path: path.to_owned() });
    }
    let io = |error| LoadError::Io { path: full.display().to_string(), error };
    let file = File::open(&full).map_err(io)?;
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(LoadError::Special { path: path.to_owned() });
    }
    let mut bytes = Vec::with_capacity(meta.len().min(MAX_FILE_BYTES) as usize);
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(LoadError::FileTooLarge {
            path: path.to_owned(),
            bytes: meta.len(),
            allowed: MAX_FILE_BYTES,
        });
    }
    Ok(bytes)
}
