//! Decoding and resizing against Pillow, whose pixels published results come from. Fixtures: `fixtures/make.py`.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

use std::path::{Path, PathBuf};

use sweep_data::decode::{Alpha, Color, Decode, DecodeError, Orientation, Rgb, decode};
use sweep_data::resize::resized_to;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn read(name: &str, settings: &Decode) -> Rgb {
    decode(&std::fs::read(fixture(name)).unwrap(), settings)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Largest and mean difference of two pictures of one size.
fn difference(name: &str, a: &Rgb, b: &Rgb) -> (u8, f64) {
    assert_eq!((a.width, a.height), (b.width, b.height), "{name}");
    let gaps: Vec<u8> = a.pixels.iter().zip(&b.pixels).map(|(x, y)| x.abs_diff(*y)).collect();
    let mean = gaps.iter().map(|gap| f64::from(*gap)).sum::<f64>() / gaps.len() as f64;
    (gaps.into_iter().max().unwrap_or(0), mean)
}

#[test]
fn lossless_files_decode_to_pillows_pixels_exactly() {
    let names = [
        "grey.png",
        "one_bit.png",
        "palette.png",
        "palette_transparent.png",
        "rgba.png",
        "grey_alpha.png",
        "grey_16.png",
        "one_frame.gif",
        "three_frames.gif",
    ];
    for name in names {
        let want = read(
            &name.replace(".png", ".want.png").replace(".gif", ".want.png"),
            &Decode::default(),
        );
        let (largest, _) = difference(name, &read(name, &Decode::default()), &want);
        // Blending rounds once here and twice in Pillow.
        let allowed = u8::from(matches!(name, "rgba.png" | "grey_alpha.png" | "grey_16.png"));
        assert!(largest <= allowed, "{name}: {largest}");
    }
}

#[test]
fn jpegs_decode_to_pillows_pixels_within_two_levels_and_three_where_chroma_is_interpolated() {
    let names = [
        ("jpeg_444", 2),
        ("jpeg_grey", 2),
        ("jpeg_cmyk", 2),
        ("jpeg_420", 3),
        ("jpeg_422", 3),
        ("jpeg_progressive", 3),
    ];
    for (name, allowed) in names {
        let want = read(&format!("{name}.want.png"), &Decode::default());
        let (largest, mean) =
            difference(name, &read(&format!("{name}.jpg"), &Decode::default()), &want);
        println!("{name}: largest {largest}, mean {mean:.3}");
        assert!(largest <= allowed && mean < 0.5, "{name}: {largest}, mean {mean}");
    }
}

#[test]
fn resizing_is_pillows_bilinear_within_two_levels() {
    let photo = read("resize.png", &Decode::default());
    for (width, height) in [(41, 26), (30, 19), (97, 20), (203, 128), (64, 64), (5, 3)] {
        let name = format!("resize_{width}x{height}.want.png");
        let (largest, mean) =
            difference(&name, &resized_to(&photo, width, height), &read(&name, &Decode::default()));
        println!("{name}: largest {largest}, mean {mean:.3}");
        assert!(largest <= 2, "{name}: {largest}, mean {mean}");
    }
}

#[test]
fn all_eight_orientations_are_turned_as_pillow_turns_them() {
    for orientation in 1..=8 {
        let name = format!("orientation_{orientation}.jpg");
        let want = read(&format!("orientation_{orientation}.want.png"), &Decode::default());
        let (largest, _) = difference(&name, &read(&name, &Decode::default()), &want);
        assert!(largest <= 2, "{name}: {largest}");
        let as_stored =
            read(&name, &Decode { exif_orientation: Orientation::Ignore, ..Decode::default() });
        assert_eq!((as_stored.width, as_stored.height), (24, 16));
    }
}

#[test]
fn what_transparency_hides_shows_only_when_alpha_is_dropped() {
    let on_white = read("rgba.png", &Decode::default());
    let dropped = read("rgba.png", &Decode { alpha: Alpha::Drop, ..Decode::default() });
    assert_eq!(on_white.pixels[..3], [255, 255, 255]);
    assert_eq!(dropped.pixels[..3], [0, 0, 0]);
    assert_eq!(dropped, read("rgba.dropped.png", &Decode::default()), "Pillow's convert('RGB')");
    let on_red =
        read("rgba.png", &Decode { alpha: Alpha::Background([255, 0, 0]), ..Decode::default() });
    assert_eq!(on_red.pixels[..3], [255, 0, 0]);
}

#[test]
fn grey_is_pillows_luma_in_three_equal_channels() {
    let grey = read("rgb.png", &Decode { color: Color::Grey, ..Decode::default() });
    assert_eq!(grey, read("luma_of_rgb.want.png", &Decode::default()));
}

#[test]
fn a_cmyk_jpeg_without_an_adobe_marker_is_refused_and_not_guessed() {
    let mut bytes = std::fs::read(fixture("jpeg_cmyk.jpg")).unwrap();
    let at = bytes.windows(5).position(|w| w == b"Adobe").expect("Pillow writes the marker");
    bytes[at] = b'X';
    assert!(matches!(decode(&bytes, &Decode::default()), Err(DecodeError::Cmyk)));
}
