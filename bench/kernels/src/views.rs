//! The views' kernel against `fast_image_resize`, which makes them on the host: regions that shrink, grow and stay, at edges, mirrored.

#[path = "../../../crates/sweep-train/src/views/cube/kernels.rs"]
mod kernels;

use cubecl::prelude::*;
use cubecl::wgpu::WgpuRuntime;
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use kernels::Pictures;

use crate::hashed;

/// A picture's size, and of a view left, top, width, height and whether it is mirrored.
type Case = ([u32; 2], [u32; 4], bool);

const SIDE: usize = 48;

/// For each number of channels: bytes that differ by more than one (none allowed), and the share of those that differ by one (10 % allowed: the host has weights of 16 bits).
pub(crate) fn check(client: &ComputeClient<WgpuRuntime>) -> Vec<f64> {
    let cases: [Case; 8] = [
        ([73, 48], [12, 0, 48, 48], false),
        ([73, 48], [12, 0, 48, 48], true),
        ([55, 60], [3, 5, 50, 54], false),
        ([55, 60], [0, 0, 55, 60], true),
        ([49, 300], [20, 250, 21, 33], false),
        ([400, 52], [310, 1, 90, 51], true),
        ([64, 64], [63, 63, 1, 1], false),
        ([511, 97], [0, 0, 511, 97], false),
    ];
    [channels::<U8>(client, 1, &cases), channels::<U8x3>(client, 3, &cases)].concat()
}

fn channels<P: PixelTrait>(client: &ComputeClient<WgpuRuntime>, channels: usize, cases: &[Case]) -> Vec<f64> {
    let (mut bytes, mut plan, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for (index, &([width, height], [left, top, w, h], mirror)) in cases.iter().enumerate() {
        let offset = bytes.len() as u32;
        let count = (width * height) as usize * channels;
        let picture: Vec<u8> =
            (0..count).map(|i| ((hashed(40 + index as u32, i as u32) + 1.0) * 127.5) as u8).collect();
        plan.extend([offset, width, height, left, top, w, h, u32::from(mirror)]);
        expected.extend(resized::<P>(&picture, [width, height], [left, top, w, h], mirror, channels));
        bytes.extend(picture);
    }
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    // The table gives each byte back, apart by channel.
    let table: Vec<f32> = (0..channels * 256).map(|i| i as f32).collect();
    let pictures = Pictures {
        count: bytes.len() / 4,
        words: client.create_from_slice(&bytes),
        table: client.create_from_slice(bytemuck::cast_slice(&table)),
        channels,
        side: SIDE,
    };
    let plan = client.create_from_slice(bytemuck::cast_slice(&plan));
    let out = kernels::views(client, &pictures, &plan, cases.len());
    let found: Vec<f32> = bytemuck::cast_slice(&client.read_one_unchecked(out)).to_vec();
    assert_eq!(found.len(), expected.len());
    let view = SIDE * SIDE * channels;
    let mut told = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let (mut far, mut near) = (0, 0);
        for at in index * view..(index + 1) * view {
            let level = f64::from(found[at]) - (at % channels * 256) as f64;
            let apart = (level - f64::from(expected[at])).abs();
            far += usize::from(!(apart <= 1.0));
            near += usize::from(apart == 1.0);
        }
        let share = near as f64 / view as f64;
        let stays = case.1[2] == SIDE as u32 && case.1[3] == SIDE as u32;
        println!("view channels {channels} {case:?}: {far} bytes far off, {share:.4} off by one");
        told.push(if far > 0 || (stays && near > 0) { f64::INFINITY } else { share / 0.1 });
    }
    told
}

fn resized<P: PixelTrait>(picture: &[u8], size: [u32; 2], part: [u32; 4], mirror: bool, channels: usize) -> Vec<u8> {
    let mut out = vec![0; SIDE * SIDE * channels];
    let source = TypedImageRef::<P>::from_buffer(size[0], size[1], picture).unwrap();
    let mut target = TypedImage::<P>::from_buffer(SIDE as u32, SIDE as u32, &mut out).unwrap();
    let [left, top, width, height] = part.map(f64::from);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .use_alpha(false)
        .crop(left, top, width, height);
    Resizer::new().resize_typed(&source, &mut target, &options).unwrap();
    if mirror {
        for row in out.chunks_exact_mut(SIDE * channels) {
            let pixels: Vec<Vec<u8>> = row.chunks_exact(channels).rev().map(<[u8]>::to_vec).collect();
            row.copy_from_slice(&pixels.concat());
        }
    }
    out
}
