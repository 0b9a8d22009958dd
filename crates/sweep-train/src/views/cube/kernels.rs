//! Normalised views of pictures that lie on the device, as a kernel of cubecl: one unit makes one number.
//!
//! Bilinear with antialias as on the host (Pillow's filter: a triangle as wide as two pixels of the larger grid, cut at the picture's
//! edge, its weights made to sum to 1), columns first, each column's value rounded to a byte as there. The host counts weights in whole numbers,
//! so a byte may differ by one. Where nothing is resized, bytes are the same.
//!
//! Nothing here knows burn, and all of it is generic over cubecl's runtimes: `bench/kernels` includes this very file to test it
//! without a GPU. Bytes are read out of words of 32 bits, for not every runtime has bytes.

use cubecl::prelude::*;
use cubecl::server::Handle;

/// Units of a cube.
const FLAT: u32 = 256;

/// Words per view in the plan: offset in bytes; width and height of the picture; left, top, width and height of the part; 1 to mirror.
pub(crate) const PLAN: usize = 8;

/// Pictures on the device.
#[derive(Clone, Debug)]
pub(crate) struct Pictures {
    /// Bytes as little-endian words.
    pub(crate) words: Handle,
    /// How many words.
    pub(crate) count: usize,
    /// `[channels, 256]`: the normalised value of each byte.
    pub(crate) table: Handle,
    pub(crate) channels: usize,
    /// Side of a view in pixels.
    pub(crate) side: usize,
}

/// Views `[n, side, side, channels]`; `plan` has [`PLAN`] words for each.
pub(crate) fn views<R: Runtime>(
    client: &ComputeClient<R>,
    pictures: &Pictures,
    plan: &Handle,
    n: usize,
) -> Handle {
    let Pictures { words, count, table, channels, side } = pictures;
    let numbers = n * side * side * channels;
    let out = client.empty(numbers * size_of::<f32>());
    // SAFETY: every array is given with the length it has; the plan is made from the picture's own sizes.
    #[allow(unsafe_code, reason = "a kernel that checks its positions itself")]
    unsafe {
        show::launch_unchecked::<R>(
            client,
            cubes(numbers),
            CubeDim::new_1d(FLAT),
            ArrayArg::from_raw_parts(words.clone(), *count),
            ArrayArg::from_raw_parts(plan.clone(), n * PLAN),
            ArrayArg::from_raw_parts(table.clone(), channels * 256),
            ArrayArg::from_raw_parts(out.clone(), numbers),
            numbers,
            *channels,
            *side,
        );
    }
    out
}

/// One unit per number; a row of cubes is no longer than every runtime allows.
fn cubes(n: usize) -> CubeCount {
    const LONGEST: usize = 65_535;
    let cubes = n.div_ceil(FLAT as usize);
    let rows = cubes.div_ceil(LONGEST).max(1);
    CubeCount::Static(cubes.div_ceil(rows) as u32, rows as u32, 1)
}

/// First pixel that a sample of the filter sees, and the one after the last.
#[cube]
fn reach(centre: f32, support: f32, size: u32) -> (u32, u32) {
    let first = f32::max(f32::floor(centre - support + 0.5f32), 0.0f32);
    let last = f32::max(f32::floor(centre + support + 0.5f32), 0.0f32);
    (u32::cast_from(first), u32::min(u32::cast_from(last), size))
}

/// The triangle's height at pixel `at`, not yet divided by the sum.
#[cube]
fn weight(at: u32, centre: f32, support: f32) -> f32 {
    let distance = f32::abs((f32::cast_from(at) - centre + 0.5f32) / support);
    f32::max(1.0f32 - distance, 0.0f32)
}

#[cube(launch_unchecked)]
fn show(
    words: &Array<u32>,
    plan: &Array<u32>,
    table: &Array<f32>,
    out: &mut Array<f32>,
    numbers: usize,
    channels: usize,
    side: usize,
) {
    let at = ABSOLUTE_POS;
    if at < numbers {
        let channel = at % channels;
        let pixel = at / channels;
        let row = (pixel / side) % side;
        let mut column = pixel % side;
        let view = pixel / (side * side) * 8;
        let offset = plan[view];
        let width = plan[view + 1];
        let height = plan[view + 2];
        let scale_x = f32::cast_from(plan[view + 5]) / f32::cast_from(side);
        let scale_y = f32::cast_from(plan[view + 6]) / f32::cast_from(side);
        if plan[view + 7] == 1u32 {
            column = side - 1 - column;
        }
        let x = f32::cast_from(plan[view + 3]) + (f32::cast_from(column) + 0.5f32) * scale_x;
        let y = f32::cast_from(plan[view + 4]) + (f32::cast_from(row) + 0.5f32) * scale_y;
        let support_x = f32::max(scale_x, 1.0f32);
        let support_y = f32::max(scale_y, 1.0f32);
        let (x_first, x_end) = reach(x, support_x, width);
        let (y_first, y_end) = reach(y, support_y, height);
        let mut total_y = 0.0f32;
        for j in y_first..y_end {
            total_y += weight(j, y, support_y);
        }
        let mut total_x = 0.0f32;
        let mut value = 0.0f32;
        for i in x_first..x_end {
            let mut sum = 0.0f32;
            for j in y_first..y_end {
                let byte =
                    offset + (j * width + i) * u32::cast_from(channels) + u32::cast_from(channel);
                let word = words[(byte / 4u32) as usize];
                let level = (word >> ((byte % 4u32) * 8u32)) & 255u32;
                sum += weight(j, y, support_y) * f32::cast_from(level);
            }
            let part = weight(i, x, support_x);
            total_x += part;
            value += part * f32::floor(sum / total_y + 0.5f32);
        }
        let level = u32::cast_from(f32::min(f32::floor(value / total_x + 0.5f32), 255.0f32));
        out[at] = table[channel * 256 + level as usize];
    }
}
