//! EXIF orientation: the camera's word on which way is up, and the eight ways to obey it.

use super::Rgb;

/// The orientation in a raw EXIF block; 1 (upright) where there is none or one that is not 1..=8.
pub(super) fn of_exif(raw: &[u8]) -> u8 {
    let raw = raw.strip_prefix(b"Exif\0\0").unwrap_or(raw);
    let Ok(exif) = exif::Reader::new().read_raw(raw.to_vec()) else { return 1 };
    let value = exif
        .get_field(exif::Tag::Orientation, exif::In::PRIMARY)
        .and_then(|field| field.value.get_uint(0));
    value.and_then(|v| u8::try_from(v).ok()).filter(|v| (1..=8).contains(v)).unwrap_or(1)
}

/// The picture turned and mirrored so that row 0 is the visual top and column 0 the visual left (EXIF 2.3, tag 274).
pub(super) fn upright(rgb: Rgb, orientation: u8) -> Rgb {
    if !(2..=8).contains(&orientation) {
        return rgb;
    }
    let (w, h) = (rgb.width as usize, rgb.height as usize);
    let turned = orientation >= 5;
    let (new_w, new_h) = if turned { (h, w) } else { (w, h) };
    let mut pixels = Vec::with_capacity(rgb.pixels.len());
    for y in 0..new_h {
        for x in 0..new_w {
            let (from_x, from_y) = match orientation {
                2 => (w - 1 - x, y),
                3 => (w - 1 - x, h - 1 - y),
                4 => (x, h - 1 - y),
                5 => (y, x),
                6 => (y, h - 1 - x),
                7 => (w - 1 - y, h - 1 - x),
                _ => (w - 1 - y, x),
            };
            let at = 3 * (from_y * w + from_x);
            pixels.extend_from_slice(&rgb.pixels[at..at + 3]);
        }
    }
    Rgb { width: new_w as u32, height: new_h as u32, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six pixels numbered row by row, 3 wide and 2 high.
    fn numbered() -> Rgb {
        Rgb { width: 3, height: 2, pixels: (0..6).flat_map(|v| [v, v, v]).collect() }
    }

    fn rows(rgb: &Rgb) -> Vec<Vec<u8>> {
        rgb.pixels
            .chunks(3 * rgb.width as usize)
            .map(|row| row.chunks(3).map(|p| p[0]).collect())
            .collect()
    }

    #[test]
    fn each_orientation_puts_the_right_pixel_at_the_top_left() {
        let expected: [(u8, &[&[u8]]); 8] = [
            (1, &[&[0, 1, 2], &[3, 4, 5]]),
            (2, &[&[2, 1, 0], &[5, 4, 3]]),
            (3, &[&[5, 4, 3], &[2, 1, 0]]),
            (4, &[&[3, 4, 5], &[0, 1, 2]]),
            (5, &[&[0, 3], &[1, 4], &[2, 5]]),
            (6, &[&[3, 0], &[4, 1], &[5, 2]]),
            (7, &[&[5, 2], &[4, 1], &[3, 0]]),
            (8, &[&[2, 5], &[1, 4], &[0, 3]]),
        ];
        for (orientation, want) in expected {
            assert_eq!(rows(&upright(numbered(), orientation)), want, "orientation {orientation}");
        }
    }

    #[test]
    fn an_orientation_out_of_range_leaves_the_picture_as_it_is() {
        assert_eq!(upright(numbered(), 0), numbered());
        assert_eq!(upright(numbered(), 9), numbered());
    }

    #[test]
    fn rubbish_for_exif_is_upright() {
        assert_eq!(of_exif(b"MM\0*rubbish"), 1);
        assert_eq!(of_exif(b""), 1);
    }
}
