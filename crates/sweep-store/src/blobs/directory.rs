//! What a directory of blobs needs beside `object_store`: being durable itself, blobs made young again, remains swept.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sweep_core::ids::Digest;

use super::error::BlobError;

/// Runs what blocks on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        // The runtime is shutting down.
        Err(error) => Err(BlobError::Io { path: PathBuf::new(), source: io::Error::other(error) }),
    }
}

/// Makes the folder with its parents, durable.
pub(super) fn make(root: &Path) -> io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make(parent)?;
    }
    match fs::create_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && root.is_dir() => Ok(()),
        made => made,
    }?;
    let parent = root.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync(parent.unwrap_or(Path::new(".")))
}

/// Makes the names in a folder durable.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    // Only Unix lets a folder be synced; elsewhere the rename is as durable as it gets.
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// Whether the file holds the blob, which then counts as written now.
pub(super) fn renew(path: &Path, digest: &Digest) -> Result<bool, BlobError> {
    match hash(path) {
        Ok((found, _)) if found == *digest => Ok(File::options()
            .write(true)
            .open(path)
            .and_then(|file| file.set_modified(SystemTime::now()))
            .is_ok()),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(BlobError::Io { path: path.to_owned(), source }),
    }
}

/// Digest and size of a file.
pub(super) fn hash(path: &Path) -> io::Result<(Digest, u64)> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok((Digest(*hasher.finalize().as_bytes()), hasher.count()))
}

/// Removes files older than `before` that a writer who died left half-written: `{name}#{number}`, and `….part` of old versions.
pub(super) fn remove_halves(root: &Path, before: SystemTime) -> Result<(), BlobError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| BlobError::Io { path, source }
    };
    for folder in fs::read_dir(root).map_err(io(root))? {
        let folder = folder.map_err(io(root))?.path();
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder).map_err(io(&folder))? {
            let path = entry.map_err(io(&folder))?.path();
            if !path.file_name().is_some_and(|name| is_half(&name.to_string_lossy())) {
                continue;
            }
            let old = fs::metadata(&path).and_then(|meta| meta.modified());
            match old.and_then(|at| if at < before { fs::remove_file(&path) } else { Ok(()) }) {
                // Another process may collect at the same time.
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io(&path)(error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn is_half(name: &str) -> bool {
    name.ends_with(".part")
        || name.rsplit_once('#').is_some_and(|(blob, number)| {
            blob.parse::<Digest>().is_ok() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
}
