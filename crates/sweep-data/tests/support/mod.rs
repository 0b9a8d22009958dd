//! Helpers of the integration tests.
#![allow(dead_code, reason = "each test file uses some of these")]

use std::path::{Path, PathBuf};

use sweep_data::DataSet;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The shipped manifest `manifest` on the real images in folder `images`, or `None`, loudly, where they are not at hand.
pub(crate) fn real(manifest: &str, images: &str) -> Option<DataSet> {
    let data = std::env::var_os("SWEEP_TEST_DATA")
        .map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let folder = data.join(images);
    if !folder.is_dir() {
        eprintln!(
            "SKIPPED: no images of {images} (looked for {}); set SWEEP_TEST_DATA to a folder that holds fruits/ and covid/",
            folder.display()
        );
        return None;
    }
    let path = root().join(format!("sweeps/datasets/{manifest}.yaml"));
    Some(DataSet::from_manifest(&path, Some(&folder)).unwrap_or_else(|error| panic!("{error}")))
}

/// Writes `bytes` at `root/path`, making folders on the way.
pub(crate) fn write(root: &Path, path: &str, bytes: &[u8]) {
    let full = root.join(path);
    std::fs::create_dir_all(full.parent().unwrap()).unwrap();
    std::fs::write(full, bytes).unwrap();
}

/// A synthetic photo: gradients that depend on `seed`, so that two seeds are two pictures.
pub(crate) fn photo(seed: u32, width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        let wave = |k: u32| (((x * (k + 2) + y * (7 - k)) * 5 + seed * (37 + k * 11)) % 256) as u8;
        image::Rgb([wave(0), wave(1), wave(2)])
    })
}

/// [`photo`] as a JPEG file.
pub(crate) fn jpeg(seed: u32, width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90);
    encoder.encode_image(&photo(seed, width, height)).unwrap();
    bytes
}

/// A picture as a file of another format.
pub(crate) fn encoded(image: &image::DynamicImage, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// The bytes of a committed fixture.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

/// `count` small JPEGs per class in `folder/class/`.
pub(crate) fn class_folders(folder: &Path, classes: &[&str], count: u32) {
    for (c, class) in (0..).zip(classes) {
        for i in 0..count {
            write(folder, &format!("{class}/{i}.jpg"), &jpeg(1000 * c + i, 40 + i, 32));
        }
    }
}
