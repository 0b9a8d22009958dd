//! One side of `bench/decode/run`: decodes and resizes the images it is told to, and says how long that took.
//!
//! Lines on standard input are commands, one JSON line on standard output answers each: `pass THREADS` decodes every image and
//! resizes it to SIDE², `dump FOLDER` writes the results as raw RGB. Images and side are the arguments: `decode_bench SIDE FILE…`.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot read its images must stop")]

use std::io::BufRead as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use sweep_data::decode::{Alpha, Decode, Orientation, Rgb, decode};
use sweep_data::resize::resized_to;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let side: u32 = arguments.next().unwrap().parse().unwrap();
    let images: Vec<Vec<u8>> = arguments.map(|path| std::fs::read(path).unwrap()).collect();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let (command, argument) = line.split_once(' ').unwrap();
        match command {
            "pass" => {
                let threads = argument.parse().unwrap();
                let start = Instant::now();
                let bytes = pass(&images, side, threads);
                println!("{{\"seconds\": {}, \"bytes\": {bytes}}}", start.elapsed().as_secs_f64());
            }
            _ => {
                for (i, image) in images.iter().enumerate() {
                    std::fs::write(format!("{argument}/{i}.rgb"), one(image, side).pixels).unwrap();
                }
                println!("{{}}");
            }
        }
    }
}

fn pass(images: &[Vec<u8>], side: u32, threads: usize) -> usize {
    let (next, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(image) = images.get(next.fetch_add(1, Ordering::Relaxed)) {
                    bytes.fetch_add(one(image, side).pixels.len(), Ordering::Relaxed);
                }
            });
        }
    });
    bytes.into_inner()
}

/// As Pillow's `convert("RGB")`: what transparency hides is shown, orientation is left alone.
fn one(image: &[u8], side: u32) -> Rgb {
    let settings =
        Decode { alpha: Alpha::Drop, exif_orientation: Orientation::Ignore, ..Decode::default() };
    resized_to(&decode(image, &settings).unwrap(), side, side)
}
