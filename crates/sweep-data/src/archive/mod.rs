//! Archives of images, unpacked with suspicion: zip, tar and tar.gz, told by their first bytes and never by their name.
//!
//! An archive from elsewhere may be written to harm: names that lead out of the folder, links, a name that stands twice, a few
//! kilobytes that unpack to terabytes. Everything but plain files and folders with plain names is refused, and what comes out is
//! counted while it comes out, whatever the headers promise.
//!
//! Not for where archives come from or where they are unpacked to: [`crate::source`].

mod limits;
mod name;
mod tarball;
mod unpack;
mod zipped;

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::Path;

pub(crate) use limits::Limits;
pub(crate) use unpack::{Member, present};

/// Why an archive is not unpacked. Retrying cannot help, except for [`ArchiveError::Io`].
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not one of the formats that are read.
    #[error(
        "is {0}, but only zip, tar and tar.gz are read: unpack it yourself and write `source: {{ folder: PATH }}`"
    )]
    Format(&'static str),
    /// The archive is cut off or makes no sense.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// A name that no file of a data set has.
    #[error("member `{member}` {why}; only names inside the archive's own folder are unpacked")]
    Name {
        /// The name, with strange characters escaped.
        member: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two members of one name, or a file where a folder must be.
    #[error("`{0}` stands twice in it; which one is meant cannot be known")]
    Twice(String),
    /// Neither a file nor a folder.
    #[error("member `{member}` is {what}; only files and folders are unpacked")]
    Kind {
        /// The name.
        member: String,
        /// What it is.
        what: &'static str,
    },
    /// A way of storing that is not read.
    #[error(
        "member `{member}` is {how}; pack it again without, or unpack it yourself and write `source: {{ folder: PATH }}`"
    )]
    Stored {
        /// The name.
        member: String,
        /// How it is stored.
        how: &'static str,
    },
    /// More members than any data set has.
    #[error("has more than {0} members")]
    TooMany(u64),
    /// A member larger than any picture or table should be.
    #[error("member `{member}` has more than {allowed} bytes")]
    MemberTooLarge {
        /// The name.
        member: String,
        /// The limit.
        allowed: u64,
    },
    /// More bytes in all than a data set may have.
    #[error(
        "unpacks to more than {allowed} bytes; unpack it yourself and write `source: {{ folder: PATH }}`"
    )]
    TooLarge {
        /// The limit.
        allowed: u64,
    },
    /// More bytes than such an archive of images can honestly hold.
    #[error(
        "unpacks to more than {allowed} bytes, over {ratio} times its own {packed}: images do not shrink like this"
    )]
    Bomb {
        /// The limit for this archive.
        allowed: u64,
        /// The largest honest ratio.
        ratio: u64,
        /// Length of the archive.
        packed: u64,
    },
    /// Reading or writing failed. Retrying may help.
    #[error("{path}: {error}")]
    Io {
        /// The file or folder.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
}

impl ArchiveError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |error| Self::Io { path: path.display().to_string(), error }
    }
}

/// What the first bytes say.
enum Kind {
    Zip,
    Tar,
    TarGz,
}

/// Unpacks `archive`, which was opened from `shown`, into the empty folder `into`. Returns the files, in byte order of their names.
///
/// What was unpacked before an error stays in `into`.
pub(crate) fn unpack(
    archive: &mut File,
    shown: &Path,
    into: &Path,
    limits: Limits,
) -> Result<Vec<Member>, ArchiveError> {
    let packed = archive.metadata().map_err(ArchiveError::io(shown))?.len();
    let kind = kind(archive, shown)?;
    archive.rewind().map_err(ArchiveError::io(shown))?;
    let mut out = unpack::Unpacker::new(into, limits, packed);
    match kind {
        Kind::Zip => zipped::unpack(archive, &mut out)?,
        Kind::Tar => tarball::unpack(archive, &mut out)?,
        Kind::TarGz => {
            tarball::unpack(flate2::read::MultiGzDecoder::new(archive), &mut out)?;
        }
    }
    Ok(out.members())
}

fn kind(archive: &mut File, shown: &Path) -> Result<Kind, ArchiveError> {
    /// "ustar" stands here in every tar since 1988.
    const USTAR: std::ops::Range<usize> = 257..262;
    let mut first = Vec::new();
    archive.rewind().map_err(ArchiveError::io(shown))?;
    archive.take(512).read_to_end(&mut first).map_err(ArchiveError::io(shown))?;
    let starts = |magic: &[u8]| first.starts_with(magic);
    let refused = |what| Err(ArchiveError::Format(what));
    match () {
        () if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") => Ok(Kind::Zip),
        () if starts(&[0x1f, 0x8b]) => Ok(Kind::TarGz),
        () if first.get(USTAR) == Some(b"ustar") => Ok(Kind::Tar),
        () if first.is_empty() => refused("empty"),
        () if starts(b"Rar!") => refused("a RAR archive"),
        () if starts(b"7z\xbc\xaf\x27\x1c") => refused("a 7z archive"),
        () if starts(b"BZh") => refused("compressed with bzip2"),
        () if starts(b"\xfd7zXZ") => refused("compressed with xz"),
        () if starts(&[0x28, 0xb5, 0x2f, 0xfd]) => refused("compressed with zstd"),
        () if starts(b"<") => refused("a web page, not the archive (a login page, perhaps)"),
        () => refused("no archive by its first bytes"),
    }
}
