//! From the sources of a manifest to a folder of files: found, or unpacked, or fetched and unpacked.
//!
//! Not for which layout the files have ([`crate::layout`]). Archives are unpacked into a cache under their own sha256, so that
//! an archive that changed is another folder, and two processes that unpack at once both end well.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::archive::{self, ArchiveError, Limits, Member};
use crate::cache;
use crate::error::LoadError;
use crate::hash::{Sha256, Sha256OrPrefix};
use crate::manifest::{Archive, ArchiveAt, Manifest, Place, Problem, Source, Spot};
use crate::stat_cache::{Stamp, StatCache};

/// Bumped when unpacking the same archive would leave other files.
const UNPACK_VERSION: u32 = 1;

/// Longest download of an archive whose length the manifest does not say.
#[cfg(feature = "fetch")]
const MAX_DOWNLOAD_BYTES: u64 = 16 << 30;

/// How far a download has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetching<'a> {
    /// Where from.
    pub url: &'a str,
    /// Bytes that are there, those of an earlier attempt included.
    pub done: u64,
    /// Bytes in all, where the server says so.
    pub total: Option<u64>,
}

/// How a data set is opened.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// A folder or an archive that takes the place of the manifest's sources.
    pub instead: Option<&'a Path>,
    /// Where archives are unpacked, and downloads and what was read of files kept; `None`: [`cache::place`].
    pub cache: Option<&'a Path>,
    /// Told how far a download has come.
    pub progress: &'a (dyn Fn(Fetching<'_>) + Sync),
    /// Whether nothing is downloaded; then what is not here yet is `LoadError::NotFetched` (feature `fetch`).
    pub offline: bool,
}

impl Opening<'_> {
    pub(crate) fn cache_folder(&self) -> PathBuf {
        self.cache.map_or_else(cache::place, Path::to_path_buf)
    }
}

impl Default for Opening<'_> {
    fn default() -> Self {
        Self { instead: None, cache: None, progress: &|_| {}, offline: false }
    }
}

/// Where the files of a data set were found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Origin {
    /// The folder they lie in.
    pub folder: PathBuf,
    /// The archive they were unpacked from.
    pub archive: Option<UnpackedArchive>,
    /// What the manifest calls the layout they have; `None` where it gives no choice.
    pub layout: Option<String>,
}

/// The archive a data set was unpacked from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UnpackedArchive {
    /// The file.
    pub path: PathBuf,
    /// Its sha256.
    pub sha256: Sha256,
    /// Its length.
    pub bytes: u64,
    /// Whether the manifest knows its sha256, so that another file would have been refused.
    pub verified: bool,
}

/// The folder of a manifest's files; `beside` is the manifest's own folder.
pub(crate) fn find(
    manifest: &Manifest,
    beside: &Path,
    opening: &Opening<'_>,
) -> Result<Origin, LoadError> {
    let cache = opening.cache_folder();
    let folder = |folder: PathBuf| Origin { folder, archive: None, layout: None };
    if let Some(instead) = opening.instead {
        if instead.is_file() {
            let known = Known { sha256: None, bytes: None, strip: None };
            return unpacked(manifest, manifest.spots.source, instead, &known, &cache);
        }
        if instead.is_dir() {
            return Ok(folder(instead.to_path_buf()));
        }
        return Err(manifest
            .error(manifest.spots.source, missing_folder(manifest, instead))
            .into());
    }
    let mut tried = Vec::new();
    for source in &manifest.sources {
        match &source.place {
            Place::Folder(path) => {
                let path = beside.join(path);
                if path.is_dir() {
                    return Ok(folder(path));
                }
                let found = if path.exists() { "is no folder" } else { "is not there" };
                tried.push((
                    source,
                    Some(missing_folder(manifest, &path)),
                    found_text("folder", &path, found),
                ));
            }
            Place::Archive(archive) => {
                let known = Known::of(archive);
                let path = match &archive.at {
                    ArchiveAt::Path(path) => beside.join(path),
                    ArchiveAt::Url(url) => {
                        match downloaded(manifest, source, url, &known, &cache, opening) {
                            // One place of several: what was missing in the others belongs beside it.
                            Err(error) if manifest.sources.len() > 1 && is_missing(&error) => {
                                tried.push((source, None, missing_text(&error)));
                                continue;
                            }
                            path => path?,
                        }
                    }
                };
                if path.is_file() {
                    return unpacked(manifest, source.spot, &path, &known, &cache);
                }
                let found = if path.exists() { "is no file" } else { "is not there" };
                let text = found_text("archive", &path, found);
                let reason =
                    format!("{found} (`path` is relative to the manifest){}", obtain(manifest));
                let problem = Problem::Archive { archive: path.display().to_string(), reason };
                tried.push((source, Some(problem), text));
            }
        }
    }
    Err(nowhere(manifest, tried))
}

fn nowhere(manifest: &Manifest, tried: Vec<(&Source, Option<Problem>, String)>) -> LoadError {
    if let [(source, Some(problem), _)] = tried.as_slice() {
        return manifest.error(source.spot, problem.clone()).into();
    }
    let n = tried.len();
    let tried: Vec<String> = tried.into_iter().map(|(_, _, text)| format!("  {text}")).collect();
    let problem = Problem::NoSource {
        n,
        tried: tried.join("\n"),
        holds: holds(manifest),
        obtain: obtain(manifest),
    };
    manifest.error(manifest.spots.source, problem).into()
}

/// Whether a download failed because there is no way to it, as opposed to bringing the wrong thing.
#[cfg(feature = "fetch")]
fn is_missing(error: &LoadError) -> bool {
    matches!(error, LoadError::Fetch(error) if error.is_unreachable())
}

#[cfg(not(feature = "fetch"))]
fn is_missing(error: &LoadError) -> bool {
    matches!(error, LoadError::Manifest(_))
}

/// What is missing, without the place in the manifest.
fn missing_text(error: &LoadError) -> String {
    match error {
        LoadError::Manifest(error) => error.problem.to_string(),
        other => other.to_string(),
    }
}

fn found_text(what: &str, path: &Path, found: &str) -> String {
    format!("{what} `{}` {found}", path.display())
}

/// "; to obtain it: …", or nothing.
fn obtain(manifest: &Manifest) -> String {
    manifest.obtain.as_ref().map(|text| format!("; to obtain it: {text}")).unwrap_or_default()
}

/// What the files must be, from classes, expectation and layouts.
fn holds(manifest: &Manifest) -> String {
    let mut text = String::new();
    let sum = |list: &[(String, u32)]| list.iter().map(|(_, n)| n).sum::<u32>();
    if let Some(expect) = &manifest.expect {
        let (train, val) = (sum(&expect.train), sum(&expect.val));
        text += &format!(
            "\nit must hold {} images ({train} to train on, {val} to validate on)",
            train + val
        );
        if let Some(classes) = &manifest.classes {
            text += &format!(" of {}", classes.join(", "));
        }
    }
    let called: Vec<&str> = manifest.layouts.iter().map(|a| a.called.as_str()).collect();
    if !called.is_empty() {
        text += &format!("\nlaid out {}", called.join(", or "));
    }
    text
}

fn missing_folder(manifest: &Manifest, folder: &Path) -> Problem {
    Problem::NoFolder { folder: folder.display().to_string(), obtain: obtain(manifest) }
}

/// What the manifest says of an archive.
struct Known<'a> {
    sha256: Option<&'a Sha256OrPrefix>,
    bytes: Option<u64>,
    strip: Option<&'a str>,
}

impl<'a> Known<'a> {
    fn of(archive: &'a Archive) -> Self {
        Self {
            sha256: archive.sha256.as_ref(),
            bytes: archive.bytes,
            strip: archive.strip.as_deref(),
        }
    }
}

/// The file a download goes to, whether it is there or not: a name that a person can recognise and put there by hand.
fn download_path(cache: &Path, url: &str) -> PathBuf {
    let plain = url.split(['?', '#']).next().unwrap_or(url);
    let name = plain.rsplit('/').next().unwrap_or_default();
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = name.chars().take(80).map(safe).collect();
    let key = blake3::hash(url.as_bytes()).to_hex();
    cache.join("downloads").join(format!("{}-{name}", &key[..8]))
}

#[cfg(feature = "fetch")]
fn downloaded(
    _manifest: &Manifest,
    _source: &Source,
    url: &str,
    known: &Known<'_>,
    cache: &Path,
    opening: &Opening<'_>,
) -> Result<PathBuf, LoadError> {
    let path = download_path(cache, url);
    if !path.is_file() {
        if opening.offline {
            return Err(LoadError::NotFetched {
                url: crate::fetch::shown(url),
                bytes: known.bytes,
            });
        }
        let limit = known.bytes.unwrap_or(MAX_DOWNLOAD_BYTES);
        crate::fetch::file(url, known.sha256, &path, limit, opening.progress)?;
    }
    Ok(path)
}

#[cfg(not(feature = "fetch"))]
fn downloaded(
    manifest: &Manifest,
    source: &Source,
    url: &str,
    _known: &Known<'_>,
    cache: &Path,
    _opening: &Opening<'_>,
) -> Result<PathBuf, LoadError> {
    let path = download_path(cache, url);
    if path.is_file() {
        return Ok(path);
    }
    let (into, obtain) = (path.display().to_string(), obtain(manifest));
    Err(manifest
        .error(source.spot, Problem::NoDownload { url: url.to_owned(), into, obtain })
        .into())
}

/// Unpacks an archive into the cache, unless it is unpacked there already.
fn unpacked(
    manifest: &Manifest,
    spot: Spot,
    path: &Path,
    known: &Known<'_>,
    cache: &Path,
) -> Result<Origin, LoadError> {
    let io = |error| LoadError::Io { path: path.display().to_string(), error };
    let shown = path.display().to_string();
    let mut file = File::open(path).map_err(io)?;
    let (sha256, bytes) = digested(path, &file, cache).map_err(io)?;
    let other = |key, found: String, wanted: String| {
        let (archive, obtain) = (shown.clone(), obtain(manifest));
        manifest.error(spot, Problem::OtherArchive { archive, key, found, wanted, obtain })
    };
    if let Some(wanted) = known.bytes.filter(|wanted| *wanted != bytes) {
        return Err(other("bytes", bytes.to_string(), wanted.to_string()).into());
    }
    if let Some(wanted) = known.sha256.filter(|wanted| !wanted.matches(&sha256)) {
        return Err(other("sha256", sha256.to_string(), wanted.to_string()).into());
    }
    let unpacked = cache.join("unpacked");
    let folder = unpack_once(&mut file, path, &unpacked, sha256).map_err(|error| match error {
        ArchiveError::Io { path, error } => LoadError::Io { path, error },
        wrong => {
            let problem = Problem::Archive { archive: shown.clone(), reason: wrong.to_string() };
            manifest.error(spot, problem).into()
        }
    })?;
    let folder = match known.strip {
        None => folder,
        Some(strip) => {
            let inner = folder.join(strip);
            if !inner.is_dir() {
                let reason = format!("has no folder `{strip}`, which `strip` names");
                return Err(manifest
                    .error(spot, Problem::Archive { archive: shown, reason })
                    .into());
            }
            inner
        }
    };
    let verified = known.sha256.is_some();
    let archive = UnpackedArchive { path: path.to_path_buf(), sha256, bytes, verified };
    Ok(Origin { folder, archive: Some(archive), layout: None })
}

/// Sha256 and length of the archive at `path`, open as `file`.
fn digested(path: &Path, file: &File, cache: &Path) -> std::io::Result<(Sha256, u64)> {
    let known = StatCache::open(cache, path, "archive");
    let stamp = Stamp::of(path);
    if let Some(digested) = known.seen("", stamp) {
        return Ok(*digested);
    }
    let digested = Sha256::of_reader(file)?;
    known.keep(stamp.map(|stamp| (String::new(), (stamp, digested))).into_iter().collect());
    Ok(digested)
}

/// The folder `cache/SHA256`, complete: a listing beside it says what must lie there.
fn unpack_once(
    file: &mut File,
    path: &Path,
    cache: &Path,
    sha256: Sha256,
) -> Result<PathBuf, ArchiveError> {
    let name = format!("{sha256}-{UNPACK_VERSION}");
    let (folder, listing) = (cache.join(&name), cache.join(format!("{name}.json")));
    let is_complete = || {
        let listed: Option<Vec<Member>> =
            std::fs::read(&listing).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        listed.is_some_and(|listed| archive::present(&folder).as_ref() == Some(&listed))
    };
    if is_complete() {
        return Ok(folder);
    }
    std::fs::create_dir_all(cache).map_err(ArchiveError::io(cache))?;
    // Gone on every way out, except for what was moved away from it.
    let place = tempfile::tempdir_in(cache).map_err(ArchiveError::io(cache))?;
    let fresh = place.path().join("files");
    std::fs::create_dir(&fresh).map_err(ArchiveError::io(&fresh))?;
    let members = archive::unpack(file, path, &fresh, Limits::default())?;
    let list = place.path().join("list");
    let json = serde_json::to_vec(&members).expect("names and numbers are JSON");
    std::fs::write(&list, json).map_err(ArchiveError::io(&list))?;
    // Whoever else unpacks the same archive writes the same listing.
    std::fs::rename(&list, &listing).map_err(ArchiveError::io(&listing))?;
    if std::fs::rename(&fresh, &folder).is_ok() || is_complete() {
        return Ok(folder);
    }
    // Something incomplete is in the way: a cleaner of caches took a part of it.
    std::fs::rename(&folder, place.path().join("old")).map_err(ArchiveError::io(&folder))?;
    match std::fs::rename(&fresh, &folder) {
        Err(_) if is_complete() => Ok(folder),
        renamed => renamed.map(|()| folder.clone()).map_err(ArchiveError::io(&folder)),
    }
}
