//! The two containers of `torch.save`: a ZIP file with one entry per storage (torch ≥ 1.6), and before that pickles one after
//! the other followed by the storages.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::pickle::{self, Entries};
use super::{Archive, Layout, Storages, WeightsError, wrong};

/// The index of a ResNet-152 takes 150 kB.
const MAX_PICKLE: usize = 4 << 20;
/// Entries of a ZIP file; a ResNet-152 has about 1000.
const MAX_ENTRIES: usize = 20_000;
/// Bytes of one storage: larger than any parameter of a backbone.
const MAX_STORAGE: u64 = 128 << 20;

/// A pickle of torch's magic number.
pub(super) const LEGACY_START: [u8; 15] =
    [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];

/// A ZIP file of storages, each below `prefix`.
pub(super) struct Zip<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    prefix: String,
}

impl Zip<'_> {
    /// The bytes of a storage.
    pub(super) fn storage(&self, key: &str) -> Result<Vec<u8>, WeightsError> {
        entry(&mut self.archive.clone(), &format!("{}data/{key}", self.prefix), MAX_STORAGE)
    }
}

/// The bytes of an entry, at most `limit`; its checksum is verified on the way.
fn entry(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>, WeightsError> {
    let broken = |error: &dyn std::fmt::Display| {
        WeightsError::Format(format!("entry `{name}` of the archive: {error}"))
    };
    let file = archive.by_name(name).map_err(|error| broken(&error))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| broken(&error))?;
    if bytes.len() as u64 > limit {
        return Err(broken(&format!("more than {limit} bytes")));
    }
    Ok(bytes)
}

/// Opens `PREFIX/data.pkl` beside `PREFIX/data/KEY`.
pub(super) fn zipped(bytes: &[u8]) -> Result<Archive<'_>, WeightsError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| WeightsError::Format(format!("as an archive: {error}")))?;
    if archive.len() > MAX_ENTRIES {
        return wrong(format!("as an archive it has more than {MAX_ENTRIES} entries"));
    }
    let found = archive.file_names().flatten().find_map(|name| {
        let prefix = name.strip_suffix("data.pkl")?;
        (prefix.is_empty() || prefix.ends_with('/')).then(|| prefix.to_owned())
    });
    let Some(prefix) = found else { return wrong("the archive has no `data.pkl`") };
    if archive.index_for_name(&format!("{prefix}byteorder")).is_some()
        && entry(&mut archive, &format!("{prefix}byteorder"), 16)? != b"little"
    {
        return wrong("it was written on a big-endian machine");
    }
    let index = entry(&mut archive, &format!("{prefix}data.pkl"), MAX_PICKLE as u64)?;
    let (read, _) = pickle::read(&index)?;
    let entries = by_name(read.state_dict()?);
    Ok(Archive { entries, storages: Storages::Zip(Zip { archive, prefix }) })
}

/// Opens magic number, protocol, system, state dict, keys of storages (a pickle each), then of each storage its length and bytes.
pub(super) fn legacy(bytes: &[u8]) -> Result<Archive<'_>, WeightsError> {
    let mut rest = bytes;
    let mut next = || -> Result<pickle::Read<'_>, WeightsError> {
        let window = &rest[..rest.len().min(MAX_PICKLE)];
        let (read, left) = pickle::read(window)?;
        rest = &rest[window.len() - left.len()..];
        Ok(read)
    };
    for _ in ["magic number", "protocol", "system"] {
        next()?;
    }
    let entries = by_name(next()?.state_dict()?);
    let Some(keys) = next()?.texts() else { return wrong("it does not list its storages") };
    let sizes: BTreeMap<&str, usize> =
        entries.values().map(|layout| (layout.storage.as_str(), layout.element.size())).collect();
    let mut slices = BTreeMap::new();
    for key in keys {
        let Some(size) = sizes.get(key.as_str()) else {
            return wrong("it holds a storage that no tensor of the state dict uses");
        };
        let taken = rest.split_first_chunk::<8>().and_then(|(count, data)| {
            let length = usize::try_from(u64::from_le_bytes(*count)).ok()?.checked_mul(*size)?;
            data.split_at_checked(length)
        });
        let Some((storage, left)) = taken else { return wrong("its data ends early") };
        slices.insert(key, storage);
        rest = left;
    }
    Ok(Archive { entries, storages: Storages::Slices(slices) })
}

/// Of a name that stands twice the last counts, as in Python.
fn by_name(entries: Entries) -> BTreeMap<String, Layout> {
    entries.into_iter().collect()
}
