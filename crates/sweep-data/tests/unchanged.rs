//! Files that did not change are not read again; one that did is, whatever is remembered of it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod support;

use std::path::Path;
use std::time::Duration;

use support::{class_folders, jpeg, write};
use sweep_core::ids::Digest;
use sweep_data::{DataSet, Opening, Sha256};

/// Longer than the time in which two writes look alike.
const SETTLED: Duration = Duration::from_millis(2_100);

fn content(manifest: &Path, cache: &Path) -> Digest {
    let opening = Opening { cache: Some(cache), ..Opening::default() };
    DataSet::open(manifest, &opening).unwrap().info().content
}

/// The one file in which is kept what was read.
fn remembered(cache: &Path) -> std::path::PathBuf {
    let files: Vec<_> = std::fs::read_dir(cache.join("looked")).unwrap().collect();
    assert_eq!(files.len(), 1);
    files.into_iter().next().unwrap().unwrap().path()
}

#[test]
fn a_second_load_reads_only_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    class_folders(&dir.path().join("photos"), &["cat", "dog"], 5);
    let text =
        "name: pets\nsource: { folder: photos }\nsplit: { stratified: { train: 0.8, seed: 1 } }\n";
    write(dir.path(), "pets.yaml", text.as_bytes());
    let manifest = dir.path().join("pets.yaml");
    let sure = content(&manifest, &cache);
    assert!(!cache.join("looked").exists(), "pictures of this moment are not trusted");
    std::thread::sleep(SETTLED);
    assert_eq!(content(&manifest, &cache), sure);
    assert_eq!(content(&manifest, &cache), sure);

    // Another digest planted in the memory shows whether the file is read.
    let folder = dir.path().join("photos/cat");
    let first = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let (real, planted) = (Sha256::of(&std::fs::read(&first).unwrap()), Sha256::of(b"planted"));
    let kept = std::fs::read_to_string(remembered(&cache)).unwrap();
    let changed = kept.replace(&real.to_string(), &planted.to_string());
    assert_ne!(kept, changed);
    std::fs::write(remembered(&cache), &changed).unwrap();
    let trusted = content(&manifest, &cache);
    assert_ne!(trusted, sure, "nothing was read again");

    // The same bytes written again are another state of the file.
    let bytes = std::fs::read(&first).unwrap();
    std::fs::write(&first, &bytes).unwrap();
    assert_eq!(content(&manifest, &cache), sure);
    std::fs::write(&first, jpeg(99, 40, 32)).unwrap();
    assert_ne!(content(&manifest, &cache), sure);
}
