//! Data sets from archives: read whatever format they have, refused with the line and the reason where they are hostile.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod support;

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use support::{class_folders, jpeg, write};
use sweep_data::{DataSet, LoadError, Opening, Sha256};
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// (name, bytes) of a member; a name that ends in `/` is a folder.
type Members = Vec<(String, Vec<u8>)>;

/// Five small photos of cats and of dogs, in a folder as archives have it.
fn pets() -> Members {
    let mut out = vec![("pets/".to_owned(), Vec::new())];
    for (c, class) in (0..).zip(["cat", "dog"]) {
        out.push((format!("pets/{class}/"), Vec::new()));
        for i in 0..5 {
            out.push((format!("pets/{class}/{i}.jpg"), jpeg(1000 * c + i, 40, 32)));
        }
    }
    out
}

fn zipped(members: &Members) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        match name.strip_suffix('/') {
            Some(folder) => zip.add_directory(folder, SimpleFileOptions::default()).unwrap(),
            None => {
                zip.start_file(name, SimpleFileOptions::default()).unwrap();
                zip.write_all(bytes).unwrap();
            }
        }
    }
    zip.finish().unwrap().into_inner()
}

/// A tar header with a name that the `tar` crate would refuse to write.
fn header(name: &[u8], kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    header
}

fn tarred(members: &Members) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let kind =
            if name.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular };
        tar.append(&header(name.as_bytes(), kind, bytes.len() as u64), bytes.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

/// A folder with an archive, a manifest and a cache.
struct Place {
    root: TempDir,
}

impl Place {
    fn new(archive: &[u8], rest: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "pets.bin", archive);
        let manifest = format!("name: pets\n{rest}\n");
        write(root.path(), "pets.yaml", manifest.as_bytes());
        Self { root }
    }

    fn cache(&self) -> PathBuf {
        self.root.path().join("cache")
    }

    fn open(&self) -> Result<DataSet, LoadError> {
        let cache = self.cache();
        let opening = Opening { cache: Some(&cache), ..Opening::default() };
        DataSet::load_with("pets.yaml", self.root.path(), &opening)
    }

    /// What it is refused with; nothing may have been left in the cache or beside it.
    fn refused(&self) -> String {
        let message = self.open().expect_err("accepted").to_string();
        println!("--- {message}");
        let unpacked = self.cache().join("unpacked");
        let left = std::fs::read_dir(&unpacked).map_or(0, Iterator::count);
        assert_eq!(left, 0, "left behind: {message}");
        let names = std::fs::read_dir(self.root.path()).unwrap().count();
        assert!(names <= 3, "something was written outside the cache: {message}");
        assert!(message.contains("pets.yaml:2:"), "{message}");
        message
    }
}

const SOURCE: &str = "source: { archive: pets.bin }";

/// The message for an archive alone.
fn refused(archive: &[u8]) -> String {
    Place::new(archive, SOURCE).refused()
}

#[test]
fn all_formats_give_the_data_set_that_the_folder_gives() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in pets().iter().filter(|(name, _)| !name.ends_with('/')) {
        write(folder.path(), &format!("images/{name}"), bytes);
    }
    write(folder.path(), "pets.yaml", b"name: pets\nsource: { folder: images }\n");
    let wanted = DataSet::load("pets.yaml", folder.path()).unwrap();
    assert_eq!(wanted.info().train, [4, 4]);
    let tar = tarred(&pets());
    for (what, archive) in [("zip", zipped(&pets())), ("tar.gz", gzipped(&tar)), ("tar", tar)] {
        let place = Place::new(&archive, SOURCE);
        let set = place.open().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(set.info(), wanted.info(), "{what}");
        let origin = set.origin().unwrap();
        assert_eq!(origin.archive.as_ref().unwrap().sha256, Sha256::of(&archive));
        assert!(!origin.archive.as_ref().unwrap().verified);
        // A second time it is not unpacked again.
        let unpacked = origin.folder.join("cat/0.jpg");
        let first = std::fs::metadata(&unpacked).unwrap().modified().unwrap();
        assert_eq!(place.open().unwrap().info(), wanted.info());
        assert_eq!(std::fs::metadata(&unpacked).unwrap().modified().unwrap(), first);
    }
}

#[test]
fn a_cache_that_lost_files_is_filled_again() {
    let place = Place::new(&zipped(&pets()), SOURCE);
    let set = place.open().unwrap();
    let folder = set.origin().unwrap().folder.clone();
    std::fs::remove_file(folder.join("cat/0.jpg")).unwrap();
    std::fs::write(folder.join("dog/0.jpg"), b"").unwrap();
    assert_eq!(place.open().unwrap().info(), set.info());
    let left = std::fs::read_dir(place.cache().join("unpacked")).unwrap().count();
    assert_eq!(left, 2, "the folder and its listing");
}

#[test]
fn many_that_unpack_at_once_all_end_well() {
    let place = Place::new(&zipped(&pets()), SOURCE);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| place.open().unwrap())).collect();
        for set in all {
            assert_eq!(set.join().unwrap().examples().len(), 10);
        }
    });
}

#[test]
fn an_archive_of_another_sha256_or_length_is_refused_with_both() {
    let archive = zipped(&pets());
    let right = Sha256::of(&archive);
    let with = |rest: &str| {
        Place::new(&archive, &format!("source: {{ archive: {{ path: pets.bin, {rest} }} }}"))
    };
    let set =
        with(&format!("sha256: {right}, bytes: {}, strip: pets", archive.len())).open().unwrap();
    assert!(set.origin().unwrap().archive.as_ref().unwrap().verified);
    assert!(set.origin().unwrap().folder.ends_with("pets"));
    let other = "0".repeat(64);
    let message = with(&format!("sha256: '{other}'")).refused();
    assert!(message.contains(&right.to_string()) && message.contains(&other), "{message}");
    let message = with("bytes: 7").refused();
    assert!(
        message.contains(&format!("has bytes {}, but the manifest says 7", archive.len())),
        "{message}"
    );
    let message = with("strip: cats").open().unwrap_err().to_string();
    assert!(message.contains("has no folder `cats`"), "{message}");
}

#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    let names = [
        "../evil.jpg",
        "a/../../evil.jpg",
        "/tmp/evil.jpg",
        "a\\..\\evil.jpg",
        "C:/evil.jpg",
        "a\nb.jpg",
    ];
    for name in names {
        let members = vec![(name.to_owned(), jpeg(1, 8, 8))];
        for archive in [tarred(&members), gzipped(&tarred(&members)), zipped(&members)] {
            let message = refused(&archive);
            assert!(
                message.contains("only names inside the archive's own folder"),
                "{name:?}: {message}"
            );
        }
    }
}

#[test]
fn links_and_devices_are_refused() {
    for (kind, words) in [
        (tar::EntryType::Symlink, "is a link"),
        (tar::EntryType::Link, "is a link"),
        (tar::EntryType::Fifo, "neither a file nor a folder"),
        (tar::EntryType::Char, "neither a file nor a folder"),
        (tar::EntryType::GNUSparse, "is a sparse file"),
    ] {
        let mut header = header(b"cat/0.jpg", kind, 0);
        header.as_old_mut().linkname[..11].copy_from_slice(b"/etc/passwd");
        header.set_cksum();
        let mut tar = tar::Builder::new(Vec::new());
        tar.append(&header, std::io::empty()).unwrap();
        let message = refused(&tar.into_inner().unwrap());
        assert!(message.contains(words), "{kind:?}: {message}");
    }
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("cat/0.jpg", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let message = refused(&zip.finish().unwrap().into_inner());
    assert!(message.contains("`cat/0.jpg` is a link"), "{message}");
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    let twice: Members =
        [("cat/0.jpg", 1), ("./cat//0.jpg", 2)].map(|(n, s)| (n.to_owned(), jpeg(s, 8, 8))).into();
    let message = refused(&tarred(&twice));
    assert!(message.contains("`cat/0.jpg` stands twice"), "{message}");
    let under_a_file: Members =
        [("cat", 1), ("cat/0.jpg", 2)].map(|(n, s)| (n.to_owned(), jpeg(s, 8, 8))).into();
    for archive in [tarred(&under_a_file), zipped(&under_a_file)] {
        assert!(refused(&archive).contains("`cat` stands twice"));
    }
    // No writer makes two members of one name, so one is renamed in the bytes.
    let two: Members =
        [("cat/0.jpg", 1), ("cat/1.jpg", 2)].map(|(n, s)| (n.to_owned(), jpeg(s, 8, 8))).into();
    let mut bytes = zipped(&two);
    let at: Vec<usize> =
        (0..bytes.len() - 9).filter(|i| &bytes[*i..i + 9] == b"cat/1.jpg").collect();
    assert_eq!(at.len(), 2, "once before the member and once in the directory");
    for i in at {
        bytes[i + 4] = b'0';
    }
    assert!(refused(&bytes).contains("stands twice"));
}

#[test]
fn what_unpacks_to_far_more_than_it_is_is_refused_before_it_is_written() {
    let zeros: Members = vec![("cat/0.jpg".to_owned(), vec![0; 200 << 20])];
    for archive in [zipped(&zeros), gzipped(&tarred(&zeros))] {
        assert!(archive.len() < 1 << 20, "a bomb is small");
        let message = refused(&archive);
        assert!(message.contains("images do not shrink like this"), "{message}");
    }
    let large: Members = vec![("cat/0.jpg".to_owned(), vec![0; 257 << 20])];
    let message = refused(&zipped(&large));
    assert!(message.contains("`cat/0.jpg` has more than 268435456 bytes"), "{message}");
}

#[test]
fn a_zip_that_promises_less_than_it_holds_is_refused() {
    let members: Members = vec![("cat/0.jpg".to_owned(), vec![7; 5000])];
    let mut bytes = zipped(&members);
    let length = 5000_u32.to_le_bytes();
    let at: Vec<usize> = (0..bytes.len() - 4).filter(|i| bytes[*i..i + 4] == length).collect();
    assert!(at.len() >= 2, "once before the member and once in the directory");
    for i in at {
        bytes[i..i + 4].copy_from_slice(&10_u32.to_le_bytes());
    }
    let message = refused(&bytes);
    assert!(message.contains("is damaged"), "{message}");
}

#[test]
fn a_long_name_is_read_and_an_endless_one_is_refused() {
    let long = format!("pets/{}/", "folder".repeat(30));
    let mut tar = tar::Builder::new(Vec::new());
    for (c, class) in (0..).zip(["cat", "dog"]) {
        for i in 0..5 {
            let bytes = jpeg(1000 * c + i, 40, 32);
            let mut header = header(b"", tar::EntryType::Regular, bytes.len() as u64);
            let name = format!("{long}{class}/{i}.jpg");
            tar.append_data(&mut header, name, bytes.as_slice()).unwrap();
        }
    }
    let place = Place::new(&tar.into_inner().unwrap(), SOURCE);
    assert_eq!(place.open().unwrap().info().train, [4, 4]);

    let mut tar = tar::Builder::new(Vec::new());
    let name = vec![b'a'; 100_000];
    tar.append(&header(b"././@LongLink", tar::EntryType::GNULongName, 100_000), name.as_slice())
        .unwrap();
    let message = refused(&tar.into_inner().unwrap());
    assert!(message.contains("an extension header of 100000 bytes"), "{message}");
}

#[test]
fn damaged_archives_and_other_files_are_named_for_what_they_are() {
    let zip = zipped(&pets());
    for cut in [30, zip.len() / 2, zip.len() - 10] {
        assert!(refused(&zip[..cut]).contains("is damaged"));
    }
    let tgz = gzipped(&tarred(&pets()));
    assert!(refused(&tgz[..tgz.len() / 2]).contains("is damaged"));
    let mut flipped = zip;
    flipped[200] ^= 0xff;
    assert!(refused(&flipped).contains("is damaged"));
    for (bytes, words) in [
        (&b"Rar!\x1a\x07\x01\x00"[..], "is a RAR archive, but only zip, tar and tar.gz are read"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "is a 7z archive"),
        (b"<!doctype html>", "a web page, not the archive"),
        (b"", "is empty"),
        (b"hello", "no archive by its first bytes"),
    ] {
        let message = refused(bytes);
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn the_first_source_that_is_there_is_taken_and_all_are_named_where_none_is() {
    let sources = "sources: [{ folder: pets }, { archive: pets.bin }]\nclasses: [cat, dog]\nobtain: ask a vet\nexpect: { train: { cat: 4, dog: 4 }, val: { cat: 1, dog: 1 } }";
    let place = Place::new(&zipped(&pets()), sources);
    assert!(place.open().unwrap().origin().unwrap().archive.is_some());
    class_folders(&place.root.path().join("pets"), &["cat", "dog"], 5);
    assert!(place.open().unwrap().origin().unwrap().archive.is_none());

    std::fs::remove_dir_all(place.root.path().join("pets")).unwrap();
    std::fs::remove_file(place.root.path().join("pets.bin")).unwrap();
    let message = place.open().unwrap_err().to_string();
    for words in [
        "in none of the 2 places",
        "pets` is not there",
        "pets.bin` is not there",
        "it must hold 10 images (8 to train on, 2 to validate on) of cat, dog",
        "to obtain it: ask a vet",
    ] {
        assert!(message.contains(words), "`{words}` is not in: {message}");
    }
}

/// A manifest that knows two layouts.
const LAYOUTS: &str = r"classes: [cat, dog]
layouts:
  - called: with the class before the number
    layout: { filename_prefix: { pattern: '^(?<class>[a-z]+)_\d+\.jpg$' } }
    split: { folders: { train: train, val: test } }
  - called: a folder per class
    split: { folders: { train: train, val: val } }
";

fn in_two_parts(names: [(&str, u32); 2], name: impl Fn(&str, &str, u32) -> String) -> Members {
    let mut out = Members::new();
    for (part, count) in names {
        for class in ["cat", "dog"] {
            for i in 0..count {
                let seed = 1000 * u32::from(class == "dog") + 100 * u32::from(part == "train") + i;
                out.push((name(part, class, i), jpeg(seed, 40, 32)));
            }
        }
    }
    out
}

#[test]
fn the_layout_that_fits_is_taken_and_the_content_is_the_same() {
    let rest = format!("{SOURCE}\n{LAYOUTS}");
    let flat = in_two_parts([("train", 3), ("test", 2)], |part, class, i| {
        format!("{part}/{class}_{i}.jpg")
    });
    let folders = in_two_parts([("train", 3), ("val", 2)], |part, class, i| {
        format!("set/{part}/{}{}/{i}.jpg", class[..1].to_uppercase(), &class[1..])
    });
    let flat = Place::new(&zipped(&flat), &rest);
    let folders = Place::new(&gzipped(&tarred(&folders)), &rest);
    let (a, b) = (flat.open().unwrap(), folders.open().unwrap());
    assert_eq!(a.origin().unwrap().layout.as_deref(), Some("with the class before the number"));
    assert_eq!(b.origin().unwrap().layout.as_deref(), Some("a folder per class"));
    assert_eq!((a.info().content, a.info().split), (b.info().content, b.info().split));
    assert_eq!(a.info().train, [3, 3]);
}

#[test]
fn what_a_mac_puts_into_an_archive_is_not_taken_for_a_class() {
    let mut members = pets();
    members.push(("__MACOSX/".to_owned(), Vec::new()));
    members.push(("__MACOSX/pets/cat/._0.jpg".to_owned(), b"litter".to_vec()));
    members.push(("pets/.DS_Store".to_owned(), b"litter".to_vec()));
    let set = Place::new(&zipped(&members), SOURCE).open().unwrap();
    assert_eq!((set.info().class_count(), set.examples().len()), (2, 10));
}

#[test]
fn where_no_layout_fits_each_says_why_and_what_is_there_is_told() {
    let members = in_two_parts([("train", 3), ("valid", 2)], |part, class, i| {
        format!("{part}/{class}/{i}.jpg")
    });
    let place = Place::new(&zipped(&members), &format!("{SOURCE}\n{LAYOUTS}"));
    let message = place.open().unwrap_err().to_string();
    println!("{message}");
    for words in [
        "pets.yaml:5:",
        "fit none of the 2 layouts",
        "with the class before the number: file `train/cat/0.jpg` does not match `pattern`",
        "a folder per class: the data set has no folder `val` for part `val` (its folders: train, valid)",
        "there are 10 files, such as `train/cat/0.jpg`, in the folders train, valid",
    ] {
        assert!(message.contains(words), "`{words}` is not in: {message}");
    }
}

#[test]
fn an_archive_may_take_the_place_of_the_sources() {
    let place = Place::new(&zipped(&pets()), "source: { folder: nowhere }");
    let cache = place.cache();
    let archive = place.root.path().join("pets.bin");
    let opening =
        Opening { instead: Some(Path::new(&archive)), cache: Some(&cache), ..Opening::default() };
    let set = DataSet::open(&place.root.path().join("pets.yaml"), &opening).unwrap();
    assert_eq!(set.info().train, [4, 4]);
}

#[cfg(not(feature = "fetch"))]
#[test]
fn a_program_that_does_not_download_says_where_the_archive_belongs_and_reads_it_there() {
    let archive = zipped(&pets());
    let sha256 = Sha256::of(&archive);
    let source = format!(
        "source: {{ archive: {{ url: 'https://host/a/pets.zip?x=1', sha256: '{sha256}' }} }}"
    );
    let place = Place::new(b"", &source);
    let message = place.refused();
    assert!(
        message.contains("this program does not download: get https://host/a/pets.zip"),
        "{message}"
    );
    let (_, rest) = message.split_once("put it at `").unwrap();
    let (path, _) = rest.split_once('`').unwrap();
    assert!(path.ends_with("-pets.zip"), "{path}");
    std::fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
    std::fs::write(path, &archive).unwrap();
    assert_eq!(place.open().unwrap().info().train, [4, 4]);
}
