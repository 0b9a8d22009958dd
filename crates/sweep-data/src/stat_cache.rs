//! What was read of files that have not changed since, as the index of git knows it: by length, times and place on the disk.
//!
//! Hashing every picture again is most of what a second sweep on a data set would wait for. A file counts as unchanged when its
//! device, inode, length, time of change and time of modification are those it had before it was read; the kernel moves the time of
//! change with every write and rename, and programs cannot set it. A file changed less than [`RACY`] ago is not
//! remembered: within one tick of the clock two writes look alike. Where the system tells no inodes nothing is remembered.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Coarsest clock of file times in use (FAT has 2 s).
const RACY: Duration = Duration::from_secs(2);

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Nanoseconds since 1970, as are the next.
    modified: i64,
    changed: i64,
}

impl Stamp {
    /// Of the file at `path`, links followed; to be taken before the file is read. `None` where there is none to trust.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let stamp = stamp(&std::fs::metadata(path).ok()?)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let settled = i64::try_from(now.checked_sub(RACY)?.as_nanos()).ok()?;
        (stamp.modified < settled && stamp.changed < settled).then_some(stamp)
    }
}

#[cfg(unix)]
fn stamp(file: &std::fs::Metadata) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let nanoseconds =
        |seconds: i64, rest: i64| seconds.checked_mul(1_000_000_000)?.checked_add(rest);
    Some(Stamp {
        device: file.dev(),
        inode: file.ino(),
        bytes: file.len(),
        modified: nanoseconds(file.mtime(), file.mtime_nsec())?,
        changed: nanoseconds(file.ctime(), file.ctime_nsec())?,
    })
}

#[cfg(not(unix))]
fn stamp(_: &std::fs::Metadata) -> Option<Stamp> {
    None
}

/// What is remembered of the files of one folder, by their names in it.
#[derive(Debug)]
pub(crate) struct StatCache<T> {
    path: PathBuf,
    known: HashMap<String, (Stamp, T)>,
}

impl<T: Serialize + DeserializeOwned> StatCache<T> {
    /// What `cache` holds of `folder`, read in the way that `how` says; a damaged file holds nothing.
    pub(crate) fn open(cache: &Path, folder: &Path, how: &str) -> Self {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
        let mut name = blake3::Hasher::new();
        name.update(how.as_bytes()).update(&[0]).update(folder.as_os_str().as_encoded_bytes());
        let path = cache.join("looked").join(format!("{}.json", name.finalize().to_hex()));
        let known = std::fs::read(&path).ok();
        let known = known.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { path, known }
    }

    /// What was read of `name` when it had this stamp.
    pub(crate) fn seen(&self, name: &str, now: Option<Stamp>) -> Option<&T> {
        self.known.get(name).filter(|(then, _)| Some(*then) == now).map(|(_, what)| what)
    }

    /// Remembers exactly `files`, if that is anything new. Failing is no error: they are read again then.
    pub(crate) fn keep(self, files: HashMap<String, (Stamp, T)>)
    where
        T: PartialEq,
    {
        if files == self.known {
            return;
        }
        if let Err(error) = self.written(&files) {
            tracing::debug!(path = %self.path.display(), %error, "what was read of files is not remembered");
        }
    }

    fn written(&self, files: &HashMap<String, (Stamp, T)>) -> std::io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec(files)?)?;
        file.persist(&self.path)?;
        Ok(())
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs::{File, FileTimes};

    use super::*;

    const AGES_AGO: Duration = Duration::from_secs(100);

    /// A file whose times are long past, but for that of its change, which nobody can set.
    fn old(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
        let past = SystemTime::now() - AGES_AGO;
        let times = FileTimes::new().set_modified(past).set_accessed(past);
        File::options().write(true).open(path).unwrap().set_times(times).unwrap();
    }

    fn stamp_of(path: &Path) -> Option<Stamp> {
        stamp(&std::fs::metadata(path).unwrap())
    }

    fn remembered(cache: &Path, folder: &Path, how: &str) -> StatCache<String> {
        StatCache::open(cache, folder, how)
    }

    #[test]
    fn a_file_is_known_again_until_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let (cache, file) = (dir.path().join("cache"), dir.path().join("a.png"));
        old(&file, "one");
        let stamp = stamp_of(&file);
        let files = [("a.png".to_owned(), (stamp.unwrap(), "seen".to_owned()))].into();
        remembered(&cache, dir.path(), "plain").keep(files);
        let again = remembered(&cache, dir.path(), "plain");
        assert_eq!(again.seen("a.png", stamp).unwrap(), "seen");
        assert_eq!(again.seen("b.png", stamp), None);
        assert_eq!(again.seen("a.png", None), None);
        assert_eq!(remembered(&cache, dir.path(), "other").seen("a.png", stamp), None);
        // Same length, same time of modification: the time of change tells.
        std::thread::sleep(Duration::from_millis(20));
        old(&file, "two");
        let modified = stamp.unwrap().modified as u64;
        let times = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_nanos(modified));
        File::options().write(true).open(&file).unwrap().set_times(times).unwrap();
        assert_eq!(stamp_of(&file).unwrap().modified, stamp.unwrap().modified);
        assert_eq!(again.seen("a.png", stamp_of(&file)), None);
    }

    #[test]
    fn a_file_that_just_changed_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        old(&file, "one");
        assert_eq!(Stamp::of(&file), None, "its time of change is now");
        assert_eq!(Stamp::of(&dir.path().join("missing")), None);
    }

    #[test]
    fn a_damaged_cache_knows_nothing_and_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        old(&file, "one");
        let stamp = stamp_of(&file).unwrap();
        let cache = remembered(dir.path(), dir.path(), "plain");
        std::fs::create_dir_all(cache.path.parent().unwrap()).unwrap();
        std::fs::write(&cache.path, "{\"a\":").unwrap();
        let cache = remembered(dir.path(), dir.path(), "plain");
        assert_eq!(cache.seen("a", Some(stamp)), None);
        cache.keep([("a".to_owned(), (stamp, "seen".to_owned()))].into());
        let again = remembered(dir.path(), dir.path(), "plain");
        assert_eq!(again.seen("a", Some(stamp)).unwrap(), "seen");
    }
}
