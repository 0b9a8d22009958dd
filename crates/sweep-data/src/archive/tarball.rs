//! Tar archives, by the `tar` crate in its raw mode: long names are read here, with a limit, because a name is memory.

use std::io::Read;

use tar::{Archive, EntryType, PaxExtensions};

use super::ArchiveError;
use super::name::shown;
use super::unpack::Unpacker;

/// Longest extension header: it holds a name of at most 1024 bytes and a few times and owners.
const MAX_EXTENSION: u64 = 64 << 10;

/// What stands between files: padding, headers, the end. Generous: 200 000 members have two headers of 512 bytes each.
const OVERHEAD: u64 = 1 << 30;

pub(super) fn unpack(archive: impl Read, out: &mut Unpacker<'_>) -> Result<(), ArchiveError> {
    let damaged = |error: std::io::Error| ArchiveError::Damaged(error.to_string());
    // Members that are skipped are unpacked all the same: the reader itself must end.
    let bounded = archive.take(out.left().saturating_add(OVERHEAD));
    let mut tar = Archive::new(bounded);
    let mut long_name: Option<String> = None;
    for entry in tar.entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        out.count()?;
        let kind = entry.header().entry_type();
        let size = entry.header().entry_size().map_err(damaged)?;
        let own_name = String::from_utf8_lossy(&entry.header().path_bytes()).into_owned();
        match kind {
            EntryType::GNULongName => {
                let name = extension(&mut entry, size)?;
                let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
                long_name = Some(utf8(&name[..end])?.to_owned());
                continue;
            }
            EntryType::XHeader => {
                let records = extension(&mut entry, size)?;
                long_name = pax(&records)?.or(long_name);
                continue;
            }
            // Of the archive as a whole: a commit, an owner.
            EntryType::XGlobalHeader => {
                pax(&extension(&mut entry, size)?)?;
                continue;
            }
            _ => {}
        }
        let name = match long_name.take() {
            Some(name) => name,
            None => utf8(&entry.header().path_bytes())?.to_owned(),
        };
        let refused = |what| Err(ArchiveError::Kind { member: shown(&name), what });
        match kind {
            EntryType::Directory => out.folder(&name)?,
            // Before 1988 a folder was a file whose name ended in a slash.
            EntryType::Regular | EntryType::Continuous if own_name.ends_with('/') => {
                out.folder(&name)?;
            }
            EntryType::Regular | EntryType::Continuous => out.file(&name, size, &mut entry)?,
            EntryType::Symlink | EntryType::Link | EntryType::GNULongLink => {
                return refused("a link");
            }
            EntryType::GNUSparse => return refused("a sparse file"),
            _ => return refused("neither a file nor a folder"),
        }
    }
    Ok(())
}

fn extension(entry: &mut impl Read, size: u64) -> Result<Vec<u8>, ArchiveError> {
    if size > MAX_EXTENSION {
        return Err(ArchiveError::Damaged(format!(
            "an extension header of {size} bytes, but at most {MAX_EXTENSION} are read"
        )));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(|error| ArchiveError::Damaged(error.to_string()))?;
    Ok(bytes)
}

/// The name that pax records give, if any.
fn pax(records: &[u8]) -> Result<Option<String>, ArchiveError> {
    let mut name = None;
    for record in PaxExtensions::new(records) {
        let record = record.map_err(|error| ArchiveError::Damaged(error.to_string()))?;
        match record.key_bytes() {
            b"path" => name = Some(utf8(record.value_bytes())?.to_owned()),
            // Only for sizes that no header can hold, far beyond what is unpacked.
            b"size" => {
                return Err(ArchiveError::Damaged("a size of more than 8 GiB".to_owned()));
            }
            key if key.starts_with(b"GNU.sparse.") => {
                let member = name.map_or_else(String::new, |name| shown(&name));
                return Err(ArchiveError::Kind { member, what: "a sparse file" });
            }
            _ => {}
        }
    }
    Ok(name)
}

fn utf8(bytes: &[u8]) -> Result<&str, ArchiveError> {
    std::str::from_utf8(bytes).map_err(|_| ArchiveError::Name {
        member: shown(&String::from_utf8_lossy(bytes)),
        why: "is not UTF-8",
    })
}
