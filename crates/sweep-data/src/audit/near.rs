//! Pictures that look alike without being equal: a list for the eye, never a policy.

use fast_image_resize::Resizer;
use serde::Serialize;

use super::Seen;
use crate::dataset::Example;
use crate::decode::Rgb;
use crate::part::Part;
use crate::resize::resized;

/// Most differing bits of 64 for a pair to be listed: copies saved again differ in 0–2, other pictures in about 32.
const NEAR_BITS: u32 = 3;

/// Above this many images not every pair is compared, and none is listed: 30 000 are 450 million pairs, about a second.
const MOST_IMAGES: usize = 30_000;

/// Two pictures that look alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Near {
    /// Differing bits of their 64-bit difference hashes.
    pub bits: u32,
    /// One file.
    pub a: String,
    /// The other.
    pub b: String,
    /// Whether one trains and the other validates.
    pub across_parts: bool,
    /// Whether their classes differ.
    pub across_classes: bool,
}

/// The 64-bit difference hash: luma at 9×8, one bit per neighbour that is brighter than its left one (Krawetz 2013).
pub(super) fn dhash(rgb: &Rgb) -> u64 {
    let small = resized(&mut Resizer::new(), rgb, (9, 8));
    let luma: Vec<u32> = small
        .chunks_exact(3)
        .map(|p| 299 * u32::from(p[0]) + 587 * u32::from(p[1]) + 114 * u32::from(p[2]))
        .collect();
    let rows = luma.chunks_exact(9).flat_map(|row| row.windows(2).map(|pair| pair[1] > pair[0]));
    rows.fold(0, |hash, brighter| hash << 1 | u64::from(brighter))
}

/// Pairs within [`NEAR_BITS`] that are not equal, nearest first, those across the parts before others.
pub(super) fn pairs(examples: &[Example], seen: &[Seen]) -> Vec<Near> {
    let hashes: Vec<(usize, u64, [u8; 32])> = (0..)
        .zip(seen)
        .filter_map(|(i, s)| {
            s.picture.as_ref().ok().and_then(|t| t.dhash.map(|hash| (i, hash, t.key)))
        })
        .collect();
    if hashes.len() > MOST_IMAGES {
        return Vec::new();
    }
    let mut pairs = Vec::new();
    for (at, (i, hash, key)) in hashes.iter().enumerate() {
        for (j, other, other_key) in &hashes[at + 1..] {
            let bits = (hash ^ other).count_ones();
            if bits <= NEAR_BITS && key != other_key {
                pairs.push(near(&examples[*i], &examples[*j], bits));
            }
        }
    }
    pairs.sort_by(|x, y| {
        (x.bits, !x.across_parts, &x.a, &x.b).cmp(&(y.bits, !y.across_parts, &y.a, &y.b))
    });
    pairs
}

fn near(a: &Example, b: &Example, bits: u32) -> Near {
    let across_parts = (a.part == Part::Train) != (b.part == Part::Train);
    let across_classes = a.label != b.label;
    let (a, b) = if a.path <= b.path { (a, b) } else { (b, a) };
    Near { bits, a: a.path.clone(), b: b.path.clone(), across_parts, across_classes }
}
