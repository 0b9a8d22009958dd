//! Zip archives, by the `zip` crate; only stored and deflated members.

use std::fs::File;
use std::io::BufReader;

use zip::read::ZipArchive;
use zip::result::ZipError;

use super::ArchiveError;
use super::name::shown;
use super::unpack::Unpacker;

/// File type bits of a Unix mode, and the two types that are unpacked.
const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;

pub(super) fn unpack(archive: &mut File, out: &mut Unpacker<'_>) -> Result<(), ArchiveError> {
    let damaged = |error: ZipError| ArchiveError::Damaged(error.to_string());
    let mut zip = ZipArchive::new(BufReader::new(archive)).map_err(damaged)?;
    if zip.has_duplicate_names() {
        return Err(ArchiveError::Twice("a name".to_owned()));
    }
    for i in 0..zip.len() {
        out.count()?;
        let name = zip.name_for_index(i).transpose().map_err(damaged)?.unwrap_or_default();
        let name = name.into_owned();
        let member = || shown(&name);
        let mut file = zip.by_index(i).map_err(|error| match error {
            ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => {
                ArchiveError::Stored { member: member(), how: "encrypted" }
            }
            ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => {
                let how = "compressed in a way that is not read (stored and deflate are)";
                ArchiveError::Stored { member: member(), how }
            }
            error => ArchiveError::Damaged(format!("member `{}`: {error}", member())),
        })?;
        match file.unix_mode().map_or(0, |mode| mode & TYPE) {
            0 | REGULAR | FOLDER => {}
            _ if file.is_symlink() => {
                return Err(ArchiveError::Kind { member: member(), what: "a link" });
            }
            _ => {
                return Err(ArchiveError::Kind {
                    member: member(),
                    what: "neither a file nor a folder",
                });
            }
        }
        if file.is_dir() {
            out.folder(&name)?;
        } else {
            let promised = file.size();
            out.file(&name, promised, &mut file)?;
        }
    }
    Ok(())
}
