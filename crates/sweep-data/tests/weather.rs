//! A generated miniature of the Weather set with its oddities: both published layouts, GIF and PNG named .jpg, grey JPEGs, groups of
//! equal files, one of them of three.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod support;

use std::path::Path;

use image::{DynamicImage, ImageFormat};
use support::{encoded, fixture, jpeg, photo, write};
use sweep_data::decode::{Format, PixelKind};
use sweep_data::{DataSet, Part, audit};
use tempfile::TempDir;

/// (name without number, number and extension, bytes) of 43 images.
fn images() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut out = Vec::new();
    for (c, (class, count)) in
        [("cloudy", 12), ("rain", 11), ("shine", 10), ("sunrise", 10)].into_iter().enumerate()
    {
        for i in 1..=count {
            let bytes = match (class, i) {
                ("cloudy", 3) => {
                    encoded(&DynamicImage::ImageRgb8(photo(77, 30, 40)), ImageFormat::Png)
                }
                ("cloudy", 4) => fixture("jpeg_grey.jpg"),
                ("rain", 1) => fixture("three_frames.gif"),
                // rain2, rain3 and rain9 are one file; so are cloudy5 and cloudy6.
                ("rain", 2 | 3 | 9) => jpeg(5002, 50, 40),
                ("cloudy", 5 | 6) => jpeg(5005, 50, 40),
                ("shine", 1) => fixture("one_frame.gif"),
                ("shine", 2) => fixture("rgba.png"),
                _ => jpeg(100 * c as u32 + i, 40 + i, 36),
            };
            let extension = if (class, i) == ("rain", 3) { "jpeg" } else { "jpg" };
            out.push((class, format!("{i}.{extension}"), bytes));
        }
    }
    out
}

/// The layout of the archive: one folder, class as prefix.
fn flat(root: &Path) {
    for (class, rest, bytes) in images() {
        write(root, &format!("images/{class}{rest}"), &bytes);
    }
    write(root, "images/.DS_Store", b"litter");
}

/// The layout of the copies: a folder per class, names capitalised, one of them spelt out.
fn folders(root: &Path) {
    for (class, rest, bytes) in images() {
        let folder = if class == "rain" {
            "Rainy".to_owned()
        } else {
            class[..1].to_uppercase() + &class[1..]
        };
        write(root, &format!("images/{folder}/{rest}"), &bytes);
    }
    write(root, "images/Thumbs.db", b"litter");
}

const FLAT: &str = r"layout: { filename_prefix: { pattern: '^(?<class>[a-z]+)\d+\.jpe?g$' } }";
const FOLDERS: &str = "rename: { Rainy: rain }";

fn load(make: fn(&Path), layout: &str, rest: &str) -> Result<(TempDir, DataSet), String> {
    let root = tempfile::tempdir().unwrap();
    make(root.path());
    let manifest = format!(
        "name: weather\nclasses: [cloudy, rain, shine, sunrise]\nsource: {{ folder: images }}\n{layout}\n{rest}\n"
    );
    write(root.path(), "weather.yaml", manifest.as_bytes());
    match DataSet::load("weather.yaml", root.path()) {
        Ok(set) => Ok((root, set)),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn both_layouts_of_one_content_have_one_split_and_one_content() {
    let (_a, flat) = load(flat, FLAT, "").unwrap();
    let (_b, folders) = load(folders, FOLDERS, "").unwrap();
    assert_eq!(flat.info().train, [9, 8, 8, 8]);
    assert_eq!(flat.info().val, [3, 3, 2, 2]);
    assert_eq!(flat.info().split, folders.info().split);
    assert_eq!(flat.info().content, folders.info().content);
    let (_c, other_seed) =
        load(self::flat, FLAT, "split: { stratified: { train: 0.8, seed: 2 } }").unwrap();
    assert_ne!(flat.info().split, other_seed.info().split);
    assert_eq!(flat.info().content, other_seed.info().content);
}

#[test]
fn gifs_named_jpg_count_as_their_first_frame_or_are_skipped_before_the_split() {
    let (_a, kept) = load(flat, FLAT, "decode: { gif: first_frame }").unwrap();
    assert_eq!((kept.info().train_count(), kept.info().val_count()), (33, 10));
    let (_b, skipped) = load(flat, FLAT, "decode: { gif: skip }").unwrap();
    assert_eq!(skipped.info().train, [9, 8, 7, 8], "⌊0.8 · 10⌋ of rain, ⌊0.8 · 9⌋ of shine");
    assert_eq!(skipped.info().val, [3, 2, 2, 2]);
    let paths: Vec<&str> = skipped.skipped().iter().map(|s| s.path.as_str()).collect();
    assert_eq!(paths, ["rain1.jpg", "shine1.jpg"]);
    assert!(audit(&skipped, &|_| {}).text().contains("shine1.jpg: a GIF, and `gif: skip`"));
}

#[test]
fn the_audit_sees_lying_names_and_the_group_of_three() {
    let (_root, set) = load(flat, FLAT, "").unwrap();
    let audit = audit(&set, &|_| {});
    let count = |format, pixel| {
        audit
            .kinds
            .iter()
            .filter(|k| k.format == format && k.pixel == Some(pixel))
            .map(|k| k.files)
            .sum::<usize>()
    };
    assert_eq!(count(Format::Gif, PixelKind::Palette), 2);
    assert_eq!(count(Format::Png, PixelKind::Rgb), 1);
    assert_eq!(count(Format::Png, PixelKind::Rgba), 1);
    assert_eq!(count(Format::Jpeg, PixelKind::Grey), 1);
    assert_eq!(audit.kinds.iter().filter(|k| k.mislabelled).map(|k| k.files).sum::<usize>(), 4);
    let groups: Vec<Vec<&str>> =
        audit.equal.iter().map(|g| g.members.iter().map(|m| m.path.as_str()).collect()).collect();
    assert_eq!(
        groups,
        [vec!["cloudy5.jpg", "cloudy6.jpg"], vec!["rain2.jpg", "rain3.jpeg", "rain9.jpg"]]
    );
    assert!(!audit.has_errors());
}

#[test]
fn duplicates_are_kept_together_dropped_or_refused_as_asked() {
    for seed in 1..=20 {
        let split =
            format!("split: {{ stratified: {{ train: 0.5, seed: {seed} }} }}\nduplicates: ");
        let (_a, together) = load(flat, FLAT, &format!("{split}keep_together")).unwrap();
        assert!(together.info().warnings.is_empty(), "{:?}", together.info().warnings);
        let (_b, dropped) = load(flat, FLAT, &format!("{split}drop_from_train")).unwrap();
        assert!(dropped.info().warnings.is_empty(), "{:?}", dropped.info().warnings);
        let (_c, warned) = load(flat, FLAT, &format!("{split}warn")).unwrap();
        let lost = warned.info().train_count() - dropped.info().train_count();
        let leak = !warned.info().warnings.is_empty();
        assert_eq!(lost > 0, leak, "seed {seed}");
        assert_eq!(warned.info().val, dropped.info().val);
    }
    let refused = load(flat, FLAT, "duplicates: fail").unwrap_err();
    assert!(
        refused.contains("2 groups of equal pictures")
            && refused.contains("rain2.jpg = rain3.jpeg = rain9.jpg"),
        "{refused}"
    );
}

#[test]
fn equal_pictures_in_two_classes_are_an_error_of_the_audit() {
    let root = tempfile::tempdir().unwrap();
    support::class_folders(&root.path().join("images"), &["a", "b"], 5);
    write(root.path(), "images/a/same.jpg", &jpeg(9, 40, 40));
    write(root.path(), "images/b/same.jpg", &jpeg(9, 40, 40));
    write(root.path(), "set.yaml", b"name: set\nsource: { folder: images }\n");
    let set = DataSet::load("set.yaml", root.path()).unwrap();
    assert!(
        set.info().warnings.contains(&"1 picture lies in more than one class".to_owned()),
        "{:?}",
        set.info().warnings
    );
    let audit = audit(&set, &|_| {});
    assert!(audit.has_errors());
    assert!(
        audit.text().contains("ERROR: equal pictures in different classes: 1"),
        "{}",
        audit.text()
    );
}

#[test]
fn counts_that_differ_from_expect_are_refused_with_both_rows() {
    let error = load(flat, FLAT, "expect: { train: { cloudy: 9, rain: 9 } }").unwrap_err();
    assert!(error.contains("weather.yaml:5:9"), "{error}");
    assert!(
        error.contains("rain: expected 9, found 8   ← differs")
            && error.contains("cloudy: expected 9, found 9"),
        "{error}"
    );
}

#[test]
fn a_new_name_of_a_file_changes_neither_digest_and_a_new_byte_both() {
    let (root, set) = load(flat, FLAT, "").unwrap();
    std::fs::rename(root.path().join("images/rain4.jpg"), root.path().join("images/rain99.jpg"))
        .unwrap();
    let renamed = DataSet::load("weather.yaml", root.path()).unwrap();
    assert_eq!(
        (set.info().content, set.info().split),
        (renamed.info().content, renamed.info().split)
    );
    write(root.path(), "images/rain5.jpg", &jpeg(4242, 40, 40));
    let changed = DataSet::load("weather.yaml", root.path()).unwrap();
    assert_ne!(set.info().content, changed.info().content);
    assert_ne!(set.info().split, changed.info().split);
}

#[test]
fn every_image_is_in_exactly_one_part() {
    let (_root, set) = load(flat, FLAT, "").unwrap();
    let mut paths: Vec<&str> = set.examples().iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths.len(), images().len());
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), images().len());
    let first_val = set.examples().iter().position(|e| e.part == Part::Val).unwrap();
    assert_eq!(first_val as u32, set.info().train_count(), "train comes first");
}

/// The shipped weather manifest, in the shape of its archive but with the counts of this miniature.
fn shipped(name: &str, counts: &str) -> String {
    let text =
        std::fs::read_to_string(support::root().join(format!("sweeps/datasets/{name}.yaml")))
            .unwrap();
    let (head, _) = text.split_once("expect:").unwrap();
    let (before, rest) = head.split_once("sources:").unwrap();
    let (_, layouts) = rest.split_once("layouts:").unwrap();
    format!("{before}source: {{ folder: images }}\nlayouts:{layouts}expect: {counts}\n")
}

#[test]
fn the_shipped_manifests_read_both_layouts_under_either_gif_policy() {
    let kept = "{ train: { cloudy: 9, rain: 8, shine: 8, sunrise: 8 }, val: { cloudy: 3, rain: 3, shine: 2, sunrise: 2 } }";
    let dropped = "{ train: { cloudy: 9, rain: 8, shine: 7, sunrise: 8 }, val: { cloudy: 3, rain: 2, shine: 2, sunrise: 2 } }";
    for (name, counts) in [("weather", kept), ("weather_no_gif", dropped)] {
        let mut splits = Vec::new();
        for (make, layout) in [(flat as fn(&Path), "as published"), (folders, "as repacked")] {
            let root = tempfile::tempdir().unwrap();
            make(root.path());
            // The archive has one folder around its images.
            std::fs::create_dir(root.path().join("wrapped")).unwrap();
            std::fs::rename(root.path().join("images"), root.path().join("wrapped/dataset2"))
                .unwrap();
            std::fs::rename(root.path().join("wrapped"), root.path().join("images")).unwrap();
            write(root.path(), "set.yaml", shipped(name, counts).as_bytes());
            let set =
                DataSet::load("set.yaml", root.path()).unwrap_or_else(|error| panic!("{error}"));
            let found = set.origin().unwrap().layout.clone().unwrap();
            assert!(found.starts_with(layout), "{found}");
            splits.push((set.info().content, set.info().split));
        }
        assert_eq!(splits[0], splits[1], "{name}");
    }
}

#[test]
fn the_weather_manifests_expect_the_counts_of_the_study() {
    for (name, train) in [("weather", 899), ("weather_no_gif", 897)] {
        let text =
            std::fs::read_to_string(support::root().join(format!("sweeps/datasets/{name}.yaml")))
                .unwrap();
        let (_, expect) = text.split_once("expect:").unwrap();
        let sum = |line: &str| -> u32 {
            line.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<u32>().ok()).sum()
        };
        let lines: Vec<u32> = expect.lines().map(sum).filter(|n| *n > 0).collect();
        assert_eq!(lines, [train, 226], "{name}");
    }
}
