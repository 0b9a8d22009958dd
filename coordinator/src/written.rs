//! A report on disk: every file complete or as it was before, never half.

use std::io::Write;
use std::path::{Path, PathBuf};

use sweep_report::OutFile;

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct WriteError {
    path: PathBuf,
    source: std::io::Error,
}

/// Writes `files` below `dir`, making directories as needed.
///
/// # Errors
/// [`WriteError`] naming the file.
pub fn write(dir: &Path, files: &[OutFile]) -> Result<(), WriteError> {
    for file in files {
        let path = dir.join(&file.path);
        replace(&path, &file.bytes).map_err(|source| WriteError { path, source })?;
    }
    Ok(())
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let parent = path.parent().unwrap_or_else(|| Path::new(""));
    std::fs::create_dir_all(parent)?;
    let mut temporary = tempfile::NamedTempFile::new_in(parent)?;
    temporary.write_all(bytes)?;
    // Readable by others like any file a person writes; the temporary file's own mode is private.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        temporary.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(())
}
