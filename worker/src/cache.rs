//! Files by digest on this machine, at most so many bytes of them: what was used longest ago goes first, what is in use never.
//!
//! One download at a time per file, for all slots. Several processes may share a folder: what one drops another fetches again.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use sweep_core::ids::Digest;
use sweep_store::blobs::{BlobError, Blobs};

use crate::metrics::Metrics;

/// A half-fetched file that nobody went on with for this long is dropped at the start of a worker.
const HALF_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Where fetched files lie, and how many bytes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheOptions {
    /// The folder, made if missing.
    pub dir: PathBuf,
    /// Most bytes in it.
    pub limit: u64,
}

/// Why a file is not in the cache.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Retrying may help when other slots have ended.
    #[error(
        "the cache holds at most {limit} bytes, of which {used} are in use by other runs, but {needed} more are needed: allow more"
    )]
    Full { limit: u64, used: u64, needed: u64 },
}

/// See the module.
pub(crate) struct Cache {
    dir: PathBuf,
    limit: u64,
    files: Mutex<HashMap<Digest, Entry>>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Entry {
    bytes: u64,
    /// Attempts that need it.
    users: u32,
    used: Option<SystemTime>,
    /// Whoever fetches it.
    fetching: Arc<tokio::sync::Mutex<()>>,
}

impl Cache {
    /// The files of earlier processes are taken over; they were checked when they were fetched.
    pub(crate) fn open(options: &CacheOptions, metrics: Arc<Metrics>) -> io::Result<Arc<Self>> {
        let CacheOptions { dir, limit } = options.clone();
        fs::create_dir_all(&dir)?;
        let mut files = HashMap::new();
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let (name, meta) =
                (entry.file_name().to_string_lossy().into_owned(), entry.metadata()?);
            let used = meta.modified().ok();
            if let Ok(digest) = name.parse::<Digest>() {
                files.insert(digest, Entry { bytes: meta.len(), used, ..Entry::default() });
            } else if name.ends_with(".part") && used.is_some_and(is_forgotten) {
                fs::remove_file(entry.path())?;
            }
        }
        let cache = Self { dir, limit, files: Mutex::new(files), metrics };
        cache.make_room(&mut cache.lock(), 0);
        Ok(Arc::new(cache))
    }

    /// The file with this blob's content, fetched if it is not there; it stays as long as the answer lives.
    pub(crate) async fn file(
        self: &Arc<Self>,
        blobs: &Blobs,
        digest: Digest,
        bytes: u64,
    ) -> Result<Held, CacheError> {
        // In use from now on, so that no other fetch makes room of it.
        let held = self.hold(digest);
        let fetching = self.lock().entry(digest).or_default().fetching.clone();
        let _alone = fetching.lock().await;
        let there = tokio::fs::metadata(&held.path).await.is_ok_and(|meta| meta.len() == bytes);
        if !there {
            let _ = tokio::fs::remove_file(&held.path).await;
            self.reserve(digest, bytes)?;
            let size = blobs.fetch_to(&digest, &held.path, bytes, &mut |_| {}).await?;
            self.metrics.fetched_bytes.inc_by(size);
        }
        self.touch(&digest, &held.path);
        Ok(held)
    }

    /// Whether the file with this content is there, as far as is known without a look at the disk.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.lock().get(digest).is_some_and(|entry| entry.used.is_some())
    }

    fn hold(self: &Arc<Self>, digest: Digest) -> Held {
        self.lock().entry(digest).or_default().users += 1;
        Held { cache: self.clone(), digest, path: self.dir.join(digest.to_string()) }
    }

    /// Room for a file about to be fetched, counted from now on.
    fn reserve(&self, digest: Digest, bytes: u64) -> Result<(), CacheError> {
        let mut files = self.lock();
        let entry = files.entry(digest).or_default();
        (entry.bytes, entry.used) = (0, None);
        if !self.make_room(&mut files, bytes) {
            let used = total(&files);
            return Err(CacheError::Full { limit: self.limit, used, needed: bytes });
        }
        files.entry(digest).or_default().bytes = bytes;
        self.show(&files);
        Ok(())
    }

    /// Drops what was used longest ago until `needed` more bytes fit; whether they do.
    fn make_room(&self, files: &mut HashMap<Digest, Entry>, needed: u64) -> bool {
        while total(files).saturating_add(needed) > self.limit {
            let oldest = files
                .iter()
                .filter(|(_, entry)| entry.users == 0)
                .min_by_key(|(digest, entry)| (entry.used, **digest))
                .map(|(digest, _)| *digest);
            let Some(digest) = oldest else { break };
            files.remove(&digest);
            let path = self.dir.join(digest.to_string());
            // A training that has mapped it keeps what it mapped.
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "a cached file cannot be removed");
            }
        }
        self.show(files);
        total(files).saturating_add(needed) <= self.limit
    }

    /// Used now; written beside the file, so that the order outlives the process.
    fn touch(&self, digest: &Digest, path: &Path) {
        let now = SystemTime::now();
        if let Some(entry) = self.lock().get_mut(digest) {
            entry.used = Some(now);
        }
        // From a directory the file is a link to the blob, which may well count as written now too.
        let _ = File::options().write(true).open(path).and_then(|file| file.set_modified(now));
    }

    fn show(&self, files: &HashMap<Digest, Entry>) {
        self.metrics.cache_bytes.set(i64::try_from(total(files)).unwrap_or(i64::MAX));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Entry>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn total(files: &HashMap<Digest, Entry>) -> u64 {
    files.values().map(|entry| entry.bytes).sum()
}

fn is_forgotten(written: SystemTime) -> bool {
    written.elapsed().is_ok_and(|age| age > HALF_KEPT)
}

/// A cached file in use.
pub(crate) struct Held {
    cache: Arc<Cache>,
    digest: Digest,
    pub(crate) path: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut files = self.cache.lock();
        if let Some(entry) = files.get_mut(&self.digest) {
            entry.users = entry.users.saturating_sub(1);
            // A fetch that failed holds no room.
            if entry.users == 0 && entry.used.is_none() {
                files.remove(&self.digest);
                self.cache.show(&files);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        dir: tempfile::TempDir,
        blobs: Blobs,
        metrics: Arc<Metrics>,
    }

    fn world() -> World {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::directory(&dir.path().join("blobs")).unwrap();
        World { dir, blobs, metrics: Arc::new(Metrics::new(1)) }
    }

    impl World {
        fn cache(&self, limit: u64) -> Arc<Cache> {
            let options = CacheOptions { dir: self.dir.path().join("cache"), limit };
            Cache::open(&options, self.metrics.clone()).unwrap()
        }

        async fn blob(&self, fill: u8) -> Digest {
            self.blobs.put(vec![fill; 100]).await.unwrap()
        }

        fn cached(&self) -> usize {
            fs::read_dir(self.dir.path().join("cache")).unwrap().count()
        }
    }

    #[tokio::test]
    async fn what_was_used_longest_ago_makes_room_and_what_is_in_use_stays() {
        let world = world();
        let cache = world.cache(250);
        let [a, b, c] = [world.blob(1).await, world.blob(2).await, world.blob(3).await];
        let held = cache.file(&world.blobs, a, 100).await.unwrap();
        drop(cache.file(&world.blobs, b, 100).await.unwrap());
        let third = cache.file(&world.blobs, c, 100).await.unwrap();
        assert!(held.path.exists() && third.path.exists());
        assert_eq!(world.cached(), 2, "b made room");
        assert_eq!(world.metrics.cache_bytes.get(), 200);
        let full = cache.file(&world.blobs, b, 100).await;
        assert!(matches!(full, Err(CacheError::Full { used: 200, needed: 100, .. })));
        drop(held);
        cache.file(&world.blobs, b, 100).await.unwrap();
        assert!(!world.dir.path().join("cache").join(a.to_string()).exists());
        assert_eq!(world.metrics.fetched_bytes.get(), 400);
    }

    #[tokio::test]
    async fn a_file_is_fetched_once_and_survives_the_process() {
        let world = world();
        let digest = world.blob(1).await;
        let cache = world.cache(1000);
        let both = tokio::join!(
            cache.file(&world.blobs, digest, 100),
            cache.file(&world.blobs, digest, 100)
        );
        both.0.unwrap();
        both.1.unwrap();
        world.blobs.delete(&digest).await.unwrap();
        world.cache(1000).file(&world.blobs, digest, 100).await.unwrap();
        assert_eq!(world.metrics.fetched_bytes.get(), 100);
        // Smaller than what lies there: the rest goes at the start.
        world.cache(50);
        assert_eq!(world.cached(), 0);
    }

    #[tokio::test]
    async fn a_missing_blob_holds_no_room() {
        let world = world();
        let cache = world.cache(100);
        let missing = cache.file(&world.blobs, Digest::of(b"never"), 100).await;
        assert!(matches!(missing, Err(CacheError::Blob(BlobError::Missing { .. }))));
        assert_eq!(world.metrics.cache_bytes.get(), 0);
        let digest = world.blob(1).await;
        assert!(cache.file(&world.blobs, digest, 100).await.is_ok());
    }
}
