//! Small pictures of validation images: read one by one from wherever a packed data set lies, never fetched whole.
//!
//! In this order: built in, from the blobs that a sweep names, from a folder of packed files. What is nowhere is said, with why.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use sweep_core::ids::{Digest, RunId, SweepId};
use sweep_core::run::RunSpec;
use sweep_core::sweep::Input;
use sweep_data::DataSet;
use sweep_data::pack::{Contents, TAIL, header_range};
use sweep_store::blobs::Blobs;
use sweep_store::{Reads, RunDetail};
use tokio::sync::Semaphore;

use crate::service::app::App;
use crate::service::extract::Named;
use crate::service::problem::{Kind, Problem};
use crate::service::runs;

/// Pixels of a side at most.
pub(crate) const SIDE: u32 = 96;
/// Data sets whose places of pictures are kept: about 100 bytes per image.
const OPENED: usize = 8;
/// Runs whose data set is remembered.
const RUNS: usize = 64;
/// Bytes of pictures kept.
const KEPT: usize = 4 << 20;
/// Pictures made at a time.
const AT_ONCE: usize = 4;
/// Files of a folder that are looked at.
const FILES: usize = 1000;
/// How long a place of blobs may take to give a piece.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which pictures: content, split, side.
type Key = (Digest, Digest, u32);

/// Where a packed file lies.
#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Blob(Digest),
}

/// A packed data set of which pictures can be had.
#[derive(Debug)]
pub(crate) struct Opened {
    key: Key,
    place: Place,
    contents: Contents,
}

impl Opened {
    /// The file that validation image `i` was made from.
    pub(crate) fn path(&self, i: usize) -> Option<&str> {
        self.contents.path(i)
    }
}

/// Why there are no pictures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Absent {
    #[error(
        "the packed pictures of this data set were not sent here (`sweep submit` sends them, a sweep file alone does not)"
    )]
    Nowhere,
    #[error("the packed pictures of this data set are no longer among the blobs")]
    Gone,
    #[error("the packed pictures of this data set cannot be read now")]
    Unreadable,
}

/// What was opened and made. Everything in it can be had again.
#[derive(Default)]
pub(crate) struct Pictures {
    /// A folder of packed files, if there is one.
    folder: OnceLock<PathBuf>,
    /// Built-in data sets are packed into it; removed at the end.
    built_in: tokio::sync::OnceCell<tempfile::TempDir>,
    kept: Mutex<Kept>,
    at_once: Limit,
}

struct Limit(Semaphore);

impl Default for Limit {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

#[derive(Default)]
struct Kept {
    opened: VecDeque<Arc<Opened>>,
    runs: VecDeque<(RunId, Arc<Opened>)>,
    pictures: VecDeque<(Key, usize, Bytes)>,
    bytes: usize,
}

impl Pictures {
    /// Looks for packed files in `folder` as well.
    pub(crate) fn look_in(&self, folder: &Path) {
        let _ = self.folder.set(folder.to_owned());
    }

    /// The pictures of a run's data set.
    pub(crate) async fn of(&self, app: &App, run: &RunDetail) -> Result<Arc<Opened>, Absent> {
        let key = key(&run.spec);
        let known = self.lock().opened.iter().find(|opened| opened.key == key).cloned();
        let opened = match known {
            Some(opened) => opened,
            None => Arc::new(self.open(app, key, &run.sweeps).await?),
        };
        let mut kept = self.lock();
        kept.opened.retain(|other| other.key != key);
        kept.opened.push_front(opened.clone());
        kept.opened.truncate(OPENED);
        kept.runs.retain(|(other, _)| *other != run.id);
        kept.runs.push_front((run.id.clone(), opened.clone()));
        kept.runs.truncate(RUNS);
        Ok(opened)
    }

    async fn open(&self, app: &App, key: Key, sweeps: &[SweepId]) -> Result<Opened, Absent> {
        if let Some(opened) = self.built_in(app, key).await {
            return Ok(opened);
        }
        let mut absent = Absent::Nowhere;
        if let Some(digest) = blob(app, key, sweeps).await {
            match of_blob(&app.blobs, digest).await {
                Ok(Some(contents)) => {
                    return Ok(Opened { key, place: Place::Blob(digest), contents });
                }
                Ok(None) => absent = Absent::Gone,
                Err(error) => {
                    tracing::warn!(%error, %digest, "packed pictures cannot be read");
                    absent = Absent::Unreadable;
                }
            }
        }
        match self.folder.get().cloned() {
            None => Err(absent),
            Some(folder) => {
                let found = app.heavy(move || in_folder(&folder, key)).await;
                found.ok().flatten().ok_or(absent)
            }
        }
    }

    async fn built_in(&self, app: &App, key: Key) -> Option<Opened> {
        let (content, split, side) = key;
        let set = sweep_data::BUILT_IN.iter().find_map(|name| {
            let set = DataSet::builtin(name)?.ok()?;
            ((set.info().content, set.info().split) == (content, split)).then_some(set)
        })?;
        let dir = self.built_in.get_or_try_init(async || tempfile::tempdir()).await.ok()?;
        let dir = dir.path().to_owned();
        let made = app.heavy(move || {
            let packed = set.pack(side, &dir, &|_| {}).ok()?;
            let place = packed.path().to_owned();
            let contents = of_file(&place)?;
            Some(Opened { key, place: Place::File(place), contents })
        });
        made.await.ok()?
    }

    /// Validation image `i` as a PNG; `None` beyond the last one.
    async fn picture(
        &self,
        app: &App,
        opened: &Arc<Opened>,
        i: usize,
    ) -> Result<Option<Bytes>, Absent> {
        let is_it = |(key, index, _): &&(Key, usize, Bytes)| (*key, *index) == (opened.key, i);
        if let Some((_, _, png)) = self.lock().pictures.iter().find(is_it) {
            return Ok(Some(png.clone()));
        }
        let Some(range) = opened.contents.range(i) else { return Ok(None) };
        let _place = self.at_once.0.acquire().await.map_err(|_| Absent::Unreadable)?;
        let bytes = match &opened.place {
            Place::Blob(digest) => match piece(&app.blobs, digest, range).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return Err(self.forget(opened, Absent::Gone)),
                Err(_) => return Err(self.forget(opened, Absent::Unreadable)),
            },
            Place::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || slice(&path, range)).await;
                match read {
                    Ok(Ok(bytes)) => bytes.into(),
                    _ => return Err(self.forget(opened, Absent::Unreadable)),
                }
            }
        };
        let of = opened.clone();
        let made = tokio::task::spawn_blocking(move || of.contents.thumbnail(i, &bytes, SIDE));
        let Ok(Some(png)) = made.await else { return Err(Absent::Unreadable) };
        let png = Bytes::from(png);
        let mut kept = self.lock();
        kept.bytes += png.len();
        kept.pictures.push_back((opened.key, i, png.clone()));
        while kept.bytes > KEPT {
            let Some((_, _, oldest)) = kept.pictures.pop_front() else { break };
            kept.bytes -= oldest.len();
        }
        Ok(Some(png))
    }

    /// What cannot be read any more is looked for anew at the next visit.
    fn forget(&self, opened: &Opened, why: Absent) -> Absent {
        let mut kept = self.lock();
        kept.opened.retain(|other| other.key != opened.key);
        kept.runs.retain(|(_, other)| other.key != opened.key);
        why
    }

    fn of_run(&self, run: &RunId) -> Option<Arc<Opened>> {
        self.lock().runs.iter().find(|(known, _)| known == run).map(|(_, opened)| opened.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(run: &RunSpec) -> Key {
    let of = &run.configuration;
    (of.dataset.content, of.dataset.split, of.training.image_size)
}

/// The blob that one of these sweeps names for these pictures.
async fn blob(app: &App, (content, split, image_size): Key, sweeps: &[SweepId]) -> Option<Digest> {
    let wanted = Input::Pack { content, split, image_size };
    for sweep in sweeps.iter().take(RUNS) {
        let Ok(Some((_, document))) = app.store.sweep(sweep).await else { continue };
        if let Some(file) = document.inputs.iter().find(|file| file.input == wanted) {
            return Some(file.digest);
        }
    }
    None
}

type BlobError = sweep_store::blobs::BlobError;

/// `None` where there is no such blob, or it is no packed data set.
async fn of_blob(blobs: &Blobs, digest: Digest) -> Result<Option<Contents>, BlobError> {
    let Some(size) = blobs.head(&digest).await? else { return Ok(None) };
    let Some(tail) = piece(blobs, &digest, size.saturating_sub(TAIL)..size).await? else {
        return Ok(None);
    };
    let Some(range) = header_range(size, &tail) else { return Ok(None) };
    let at = range.start;
    let Some(header) = piece(blobs, &digest, range).await? else { return Ok(None) };
    let parsed = tokio::task::spawn_blocking(move || Contents::parse(&header, at)).await;
    Ok(parsed.ok().flatten())
}

/// These bytes of a blob; `None` where there are none.
async fn piece(
    blobs: &Blobs,
    digest: &Digest,
    range: Range<u64>,
) -> Result<Option<Bytes>, BlobError> {
    let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let reading = async {
        let mut reading = match blobs.read(digest, Some(range.clone())).await {
            Ok(reading) if reading.range == range => reading,
            Ok(_) | Err(BlobError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = BytesMut::with_capacity(wanted);
        while let Some(chunk) = reading.bytes.next().await {
            bytes.extend_from_slice(&chunk?);
            if bytes.len() > wanted {
                return Ok(None);
            }
        }
        Ok((bytes.len() == wanted).then(|| bytes.freeze()))
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap_or(Ok(None))
}

fn slice(path: &Path, range: Range<u64>) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(range.start))?;
    let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn of_file(path: &Path) -> Option<Contents> {
    let size = std::fs::metadata(path).ok()?.len();
    let tail = slice(path, size.checked_sub(TAIL)?..size).ok()?;
    let range = header_range(size, &tail)?;
    Contents::parse(&slice(path, range.clone()).ok()?, range.start)
}

/// The packed file of these pictures in a folder, whatever it is called.
fn in_folder(folder: &Path, key: Key) -> Option<Opened> {
    let files = std::fs::read_dir(folder).ok()?.filter_map(Result::ok).take(FILES);
    let packs = files
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "pack"));
    for path in packs {
        let Some(contents) = of_file(&path) else { continue };
        if (contents.content, contents.split, contents.image_size) == key {
            return Some(Opened { key, place: Place::File(path), contents });
        }
    }
    None
}

/// A validation image of a run, small.
pub(crate) async fn get(
    State(app): State<App>,
    Named((run, image)): Named<(String, usize)>,
) -> Result<Response, Problem> {
    let known = run.parse::<RunId>().ok().and_then(|id| app.pictures.of_run(&id));
    let opened = match known {
        Some(opened) => opened,
        None => {
            let detail = runs::detail(&app, &run).await?;
            app.pictures.of(&app, &detail).await.map_err(absent)?
        }
    };
    let Some(png) = app.pictures.picture(&app, &opened, image).await.map_err(absent)? else {
        let count = opened.contents.len();
        return Err(Problem::new(
            Kind::Route,
            format!("there are {count} validation images, counted from 0"),
        ));
    };
    let mut response = png.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/png"));
    // A run's id names its data set and split: the picture never changes.
    let keep = HeaderValue::from_static("private, max-age=86400, immutable");
    headers.insert(header::CACHE_CONTROL, keep);
    Ok(response)
}

fn absent(why: Absent) -> Problem {
    Problem::new(Kind::UnknownBlob, why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pictures_are_read_from_a_blob_and_from_a_folder_alike() {
        let dir = tempfile::tempdir().unwrap();
        let set = DataSet::builtin("digits").unwrap().unwrap();
        let packed = set.pack(8, &dir.path().join("cache"), &|_| {}).unwrap();
        let blobs = Blobs::directory(&dir.path().join("blobs")).unwrap();
        let (digest, _) = blobs.put_file(packed.path()).await.unwrap();
        let from_blob = of_blob(&blobs, digest).await.unwrap().unwrap();
        let key = (set.info().content, set.info().split, 8);
        let opened = in_folder(&dir.path().join("cache"), key).unwrap();
        assert_eq!(from_blob, opened.contents);
        let range = from_blob.range(7).unwrap();
        let bytes = piece(&blobs, &digest, range.clone()).await.unwrap().unwrap();
        assert_eq!(bytes, slice(packed.path(), range).unwrap());
        assert!(in_folder(&dir.path().join("cache"), (key.0, key.1, 9)).is_none());

        assert!(of_blob(&blobs, Digest::of(b"nothing")).await.unwrap().is_none());
        let text = blobs.put(&b"no packed data set"[..]).await.unwrap();
        assert!(of_blob(&blobs, text).await.unwrap().is_none());
    }
}
