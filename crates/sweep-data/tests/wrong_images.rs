//! Files that lie, end early or are too large: an error that names the file, never a panic.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod support;

use proptest::prelude::*;
use support::{class_folders, fixture, jpeg, write};
use sweep_data::decode::{Decode, DecodeError, decode};
use sweep_data::{DataSet, LoadError, PackError};
use tempfile::TempDir;

/// Two classes of five and `bytes` as `images/cat/odd.jpg`.
fn with_odd(bytes: &[u8], rest: &str) -> (TempDir, Result<DataSet, LoadError>) {
    let root = tempfile::tempdir().unwrap();
    class_folders(&root.path().join("images"), &["cat", "dog"], 5);
    write(root.path(), "images/cat/odd.jpg", bytes);
    write(
        root.path(),
        "set.yaml",
        format!("name: set\nsource: {{ folder: images }}\n{rest}").as_bytes(),
    );
    let set = DataSet::load("set.yaml", root.path());
    (root, set)
}

#[test]
fn a_truncated_jpeg_fails_when_packed_or_is_skipped_and_listed() {
    let whole = jpeg(3, 64, 64);
    let cut = &whole[..whole.len() / 2];
    let (root, set) = with_odd(cut, "");
    let error = set.unwrap().pack(32, &root.path().join("cache"), &|_| {}).unwrap_err();
    assert!(matches!(&error, PackError::Picture { path, .. } if path == "cat/odd.jpg"), "{error}");
    assert!(error.to_string().starts_with("cat/odd.jpg: this JPEG cannot be decoded"), "{error}");
    let (_root, set) = with_odd(cut, "decode: { on_error: skip }\n");
    let set = set.unwrap();
    assert_eq!(set.skipped().iter().map(|s| s.path.as_str()).collect::<Vec<_>>(), ["cat/odd.jpg"]);
    assert_eq!(set.examples().len(), 10);
}

#[test]
fn truncation_anywhere_is_an_error_for_every_format() {
    for name in [
        "jpeg_420.jpg",
        "jpeg_progressive.jpg",
        "jpeg_grey.jpg",
        "rgba.png",
        "palette.png",
        "grey_16.png",
        "one_frame.gif",
    ] {
        let whole = fixture(name);
        for tenths in 0..10 {
            let cut = &whole[..whole.len() * tenths / 10];
            assert!(
                decode(cut, &Decode::default()).is_err(),
                "{name} cut to {tenths}/10 was accepted"
            );
        }
    }
}

#[test]
fn what_is_no_picture_is_refused_when_loaded() {
    for bytes in [
        &b"just some text"[..],
        b"",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF0000WEBPVP8 ",
    ] {
        let (_root, set) = with_odd(bytes, "");
        let message = set.unwrap_err().to_string();
        assert!(
            message.starts_with("cat/odd.jpg: ") && message.contains("on_error: skip"),
            "{message}"
        );
    }
}

/// A PNG header that promises `width` × `height` and nothing behind it.
fn promised(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend_from_slice(&width.to_be_bytes());
    bytes.extend_from_slice(&height.to_be_bytes());
    bytes.extend_from_slice(&[8, 2, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

#[test]
fn a_picture_above_max_pixels_is_refused_before_anything_is_allocated() {
    let (_root, set) = with_odd(&promised(4_000_000_000, 4_000_000_000), "");
    let message = set.unwrap_err().to_string();
    assert!(
        message.contains(
            "4000000000×4000000000 is 16000000000000000000 pixels, but `max_pixels` is 50000000"
        ),
        "{message}"
    );
    let (_root, set) = with_odd(&jpeg(1, 100, 100), "decode: { max_pixels: 9_999 }\n");
    assert!(
        set.unwrap_err().to_string().contains("100×100 is 10000 pixels, but `max_pixels` is 9999")
    );
    let mut lying = fixture("jpeg_444.jpg");
    let frame = lying.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    lying[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    assert!(matches!(
        decode(&lying, &Decode::default()),
        Err(DecodeError::TooLarge { width: 65_535, height: 65_535, .. })
    ));
    lying[frame + 5..frame + 9].copy_from_slice(&[0x10, 0, 0x10, 0]);
    assert!(
        matches!(decode(&lying, &Decode::default()), Err(DecodeError::Lies(_))),
        "a size that the file cannot fill"
    );
}

#[test]
fn a_picture_too_narrow_to_be_resized_is_refused() {
    let (root, set) = with_odd(&jpeg(1, 1, 4000), "decode: { max_pixels: 100_000 }\n");
    let error = set.unwrap().pack(224, &root.path().join("cache"), &|_| {}).unwrap_err();
    assert!(
        matches!(&error, PackError::TooNarrow { path, .. } if path == "cat/odd.jpg"),
        "{error}"
    );
}

#[test]
fn a_file_that_changes_between_loading_and_packing_is_noticed() {
    let (root, set) = with_odd(&jpeg(1, 40, 40), "");
    write(root.path(), "images/cat/odd.jpg", &jpeg(2, 40, 40));
    let error = set.unwrap().pack(32, &root.path().join("cache"), &|_| {}).unwrap_err();
    assert!(matches!(&error, PackError::Changed { path } if path == "cat/odd.jpg"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_content_of_a_file_makes_a_panic(
        name in prop::sample::select(vec![
            "jpeg_420.jpg", "jpeg_progressive.jpg", "jpeg_cmyk.jpg", "orientation_6.jpg", "rgba.png", "palette_transparent.png",
            "grey_16.png", "three_frames.gif",
        ]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        keep in 0.2_f64..=1.0,
    ) {
        let mut bytes = fixture(name);
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate((bytes.len() as f64 * keep) as usize);
        match decode(&bytes, &Decode { max_pixels: 1 << 20, ..Decode::default() }) {
            Ok(rgb) => prop_assert_eq!(rgb.pixels.len(), 3 * rgb.width as usize * rgb.height as usize),
            Err(error) => prop_assert!(!error.to_string().contains("panicked"), "{}: {}", name, error),
        }
    }
}
