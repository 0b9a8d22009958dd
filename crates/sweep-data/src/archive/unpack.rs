//! Where both formats put their members: checked, counted, written.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::name::{plain, shown};
use super::{ArchiveError, Limits};

/// An unpacked file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Below the folder it was unpacked to, with `/`.
    pub(crate) path: String,
    /// Its length.
    pub(crate) bytes: u64,
}

/// Writes members below a folder and keeps count.
pub(super) struct Unpacker<'a> {
    root: &'a Path,
    limits: Limits,
    packed: u64,
    left: u64,
    members: u64,
    /// Every name so far; a file with its length, a folder without.
    seen: BTreeMap<String, Option<u64>>,
}

impl<'a> Unpacker<'a> {
    /// For an archive of `packed` bytes, into the empty folder `root`.
    pub(super) fn new(root: &'a Path, limits: Limits, packed: u64) -> Self {
        let left = limits.allowed(packed);
        Self { root, limits, packed, left, members: 0, seen: BTreeMap::new() }
    }

    /// What may still come out.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Counts a member, also one that is not unpacked.
    pub(super) fn count(&mut self) -> Result<(), ArchiveError> {
        self.members += 1;
        if self.members > self.limits.members {
            return Err(ArchiveError::TooMany(self.limits.members));
        }
        Ok(())
    }

    /// A folder.
    pub(super) fn folder(&mut self, name: &str) -> Result<(), ArchiveError> {
        let path = plain(name)?;
        self.make(&path)
    }

    /// A file with what `bytes` gives, which must be `promised` bytes.
    pub(super) fn file(
        &mut self,
        name: &str,
        promised: u64,
        bytes: &mut impl Read,
    ) -> Result<(), ArchiveError> {
        let path = plain(name)?;
        if path.is_empty() {
            return Err(ArchiveError::Name { member: shown(name), why: "names no file" });
        }
        if promised > self.limits.file {
            return Err(ArchiveError::MemberTooLarge {
                member: shown(name),
                allowed: self.limits.file,
            });
        }
        if promised > self.left {
            return Err(self.too_large());
        }
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.make(folder)?;
        }
        if self.seen.contains_key(&path) {
            return Err(ArchiveError::Twice(shown(&path)));
        }
        let target = self.root.join(&path);
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&target) {
            // Where case does not count, two names may be one file.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(ArchiveError::Twice(shown(&path)));
            }
            opened => opened.map_err(ArchiveError::io(&target))?,
        };
        let written = self.copy(name, bytes, promised, |part| {
            file.write_all(part).map_err(ArchiveError::io(&target))
        })?;
        self.left -= written;
        self.seen.insert(path, Some(written));
        Ok(())
    }

    fn copy(
        &self,
        name: &str,
        bytes: &mut impl Read,
        promised: u64,
        mut put: impl FnMut(&[u8]) -> Result<(), ArchiveError>,
    ) -> Result<u64, ArchiveError> {
        let mut buffer = vec![0; 64 << 10];
        let mut written = 0_u64;
        loop {
            let read = bytes.read(&mut buffer).map_err(|error| {
                ArchiveError::Damaged(format!("member `{}`: {error}", shown(name)))
            })?;
            if read == 0 {
                break;
            }
            written += read as u64;
            if written > promised {
                break;
            }
            put(&buffer[..read])?;
        }
        if written == promised {
            return Ok(written);
        }
        let (name, than) = (shown(name), if written > promised { "more" } else { "fewer" });
        let text = format!("member `{name}` has {than} bytes than the {promised} it promises");
        Err(ArchiveError::Damaged(text))
    }

    /// Makes a folder and those above it, unless they are there.
    fn make(&mut self, path: &str) -> Result<(), ArchiveError> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let folder = &path[..end];
            match self.seen.get(folder) {
                _ if folder.is_empty() => {}
                Some(None) => {}
                Some(Some(_)) => return Err(ArchiveError::Twice(shown(folder))),
                None => {
                    let full = self.root.join(folder);
                    match std::fs::create_dir(&full) {
                        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                            return Err(ArchiveError::Twice(shown(folder)));
                        }
                        made => made.map_err(ArchiveError::io(&full))?,
                    }
                    self.seen.insert(folder.to_owned(), None);
                }
            }
        }
        Ok(())
    }

    /// The error of an archive that holds too much.
    pub(super) fn too_large(&self) -> ArchiveError {
        let allowed = self.limits.allowed(self.packed);
        if allowed == self.limits.total {
            return ArchiveError::TooLarge { allowed };
        }
        ArchiveError::Bomb { allowed, ratio: self.limits.ratio, packed: self.packed }
    }

    /// The files, in byte order of their names.
    pub(super) fn members(self) -> Vec<Member> {
        let file = |(path, bytes): (String, Option<u64>)| Some(Member { path, bytes: bytes? });
        self.seen.into_iter().filter_map(file).collect()
    }
}

/// Files below `root`, as [`Unpacker::members`] lists them; `None` where anything but files and folders lies there.
pub(crate) fn present(root: &Path) -> Option<Vec<Member>> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(root).follow_links(false).min_depth(1) {
        let entry = entry.ok()?;
        if entry.file_type().is_dir() {
            continue;
        }
        if !entry.file_type().is_file() {
            return None;
        }
        let inner: PathBuf = entry.path().strip_prefix(root).ok()?.to_path_buf();
        let parts: Option<Vec<&str>> = inner.components().map(|p| p.as_os_str().to_str()).collect();
        found.push(Member { path: parts?.join("/"), bytes: entry.metadata().ok()?.len() });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Some(found)
}
