//! The packed cache and the views made from it.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use support::{class_folders, write};
use sweep_core::training::Augment;
use sweep_data::decode::{Decode, decode};
use sweep_data::{
    BUILT_IN, DIGITS_SHA256, DataSet, PackError, Packed, Part, Sha256, ViewKey, Viewer,
};
use tempfile::TempDir;

fn small_set(rest: &str) -> (TempDir, DataSet) {
    let root = tempfile::tempdir().unwrap();
    class_folders(&root.path().join("images"), &["cat", "dog"], 40);
    write(
        root.path(),
        "set.yaml",
        format!("name: set\nsource: {{ folder: images }}\n{rest}").as_bytes(),
    );
    let set = DataSet::load("set.yaml", root.path()).unwrap();
    (root, set)
}

fn pack(root: &TempDir, set: &DataSet, size: u32) -> Packed {
    set.pack(size, &root.path().join("cache"), &|_| {}).unwrap()
}

#[test]
fn one_and_many_threads_pack_the_same_bytes() {
    let (root, set) = small_set("");
    let bytes = |threads: usize| {
        let cache = root.path().join(format!("cache{threads}"));
        let packed = set.pack_with_threads(32, &cache, threads, &|_| {}).unwrap();
        std::fs::read(packed.path()).unwrap()
    };
    let one = bytes(1);
    assert_eq!(one, bytes(2));
    assert_eq!(one, bytes(7));
}

#[test]
fn each_picture_is_reported_once_and_a_second_packing_decodes_nothing() {
    let (root, set) = small_set("");
    let calls = AtomicUsize::new(0);
    let count = |progress: sweep_data::Progress<'_>| {
        assert_eq!(progress.total, 80);
        calls.fetch_add(1, Ordering::Relaxed);
    };
    let first = set.pack(32, &root.path().join("cache"), &count).unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 80);
    let second = set.pack(32, &root.path().join("cache"), &count).unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 80);
    assert_eq!(first.digest(), second.digest());
}

#[test]
fn a_flipped_byte_anywhere_is_detected_and_mended_by_packing_again() {
    let (root, set) = small_set("");
    let packed = pack(&root, &set, 32);
    let (path, good) = (packed.path().to_path_buf(), std::fs::read(packed.path()).unwrap());
    for at in [0, 8, 1000, good.len() / 2, good.len() - 60, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, &bad).unwrap();
        assert!(matches!(Packed::open(&path), Err(PackError::Damaged { .. })), "byte {at}");
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &good[..good.len() / 3]).unwrap();
    assert!(matches!(Packed::open(&path), Err(PackError::Damaged { .. })), "cut");
    assert_eq!(pack(&root, &set, 32).digest(), packed.digest());
}

#[test]
fn two_that_pack_at_once_both_end_well() {
    let (root, set) = small_set("");
    let digests: Vec<_> = std::thread::scope(|scope| {
        let packers: Vec<_> =
            (0..4).map(|_| scope.spawn(|| pack(&root, &set, 32).digest())).collect();
        packers.into_iter().map(|packer| packer.join().unwrap()).collect()
    });
    assert!(digests.iter().all(|digest| *digest == digests[0]));
    let files = std::fs::read_dir(root.path().join("cache")).unwrap().count();
    assert_eq!(files, 1, "no temporary file is left");
}

#[test]
fn settings_sizes_and_splits_are_other_files() {
    let (root, set) = small_set("");
    let cache = root.path().join("cache");
    let names: Vec<_> = [
        "",
        "decode: { color: grey }\n",
        "augment: { hflip: false }\n",
        "split: { stratified: { train: 0.8, seed: 2 } }\n",
    ]
    .into_iter()
    .map(|rest| {
        write(
            root.path(),
            "set.yaml",
            format!("name: set\nsource: {{ folder: images }}\n{rest}").as_bytes(),
        );
        DataSet::load("set.yaml", root.path()).unwrap().pack_path(32, &cache)
    })
    .chain([set.pack_path(33, &cache)])
    .collect();
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
}

#[test]
fn what_is_packed_is_what_was_loaded() {
    let (root, set) = small_set("");
    let packed = pack(&root, &set, 32);
    assert_eq!((packed.content(), packed.split()), (set.info().content, set.info().split));
    assert_eq!((packed.train().len(), packed.val().len()), (64, 16));
    assert_eq!(packed.class_counts(Part::Train), set.info().train);
    assert_eq!(packed.class_counts(Part::Val), set.info().val);
    for (i, example) in set.examples().iter().enumerate() {
        assert_eq!(
            (packed.path_of(i), packed.label(i), packed.part(i)),
            (example.path.as_str(), example.label, example.part)
        );
        assert_eq!(packed.sha256_of(i), example.sha256);
        let picture = packed.picture(i);
        assert_eq!(
            (picture.width.min(picture.height), picture.channels),
            (37, 3),
            "round(32 · 256/224)"
        );
    }
    let shared = packed.clone();
    std::thread::spawn(move || shared.picture(0).pixels.len()).join().unwrap();
}

#[test]
fn the_evaluation_view_is_the_normalised_centre_of_the_picture() {
    let (root, set) = small_set("");
    let packed = pack(&root, &set, 32);
    let mut view = vec![0.0; packed.view_len()];
    let mut viewer = Viewer::new();
    viewer.eval(&packed, 5, &mut view);
    let picture = packed.picture(5);
    let (left, top) = ((picture.width - 32) / 2, (picture.height - 32) / 2);
    for (x, y, c) in [(0, 0, 0), (31, 0, 1), (7, 19, 2), (31, 31, 0)] {
        let byte = picture.pixels[(((top + y) * picture.width + left + x) * 3 + c) as usize];
        let want = (f32::from(byte) / 255.0 - [0.485, 0.456, 0.406][c as usize])
            / [0.229, 0.224, 0.225][c as usize];
        assert_eq!(view[(c * 32 * 32 + y * 32 + x) as usize], want);
    }
    let mut same = vec![0.0; packed.view_len()];
    viewer.train(&packed, 5, Augment::None, ViewKey { seed: 1, epoch: 1 }, &mut same);
    assert_eq!(view, same, "augment none is the evaluation view");
}

#[test]
fn a_training_view_depends_on_seed_epoch_and_example_and_on_nothing_else() {
    let (root, set) = small_set("");
    let packed = pack(&root, &set, 32);
    let view = |viewer: &mut Viewer, example, seed, epoch| {
        viewer
            .train_pixels(&packed, example, Augment::Torchvision, ViewKey { seed, epoch })
            .to_vec()
    };
    let mut fresh = Viewer::new();
    let first = view(&mut fresh, 3, 1, 1);
    let mut used = Viewer::new();
    for example in (0..20).rev() {
        view(&mut used, example, 9, 4);
    }
    assert_eq!(first, view(&mut used, 3, 1, 1), "order does not matter");
    assert_ne!(first, view(&mut used, 3, 2, 1));
    assert_ne!(first, view(&mut used, 3, 1, 2));
    assert_ne!(first, view(&mut used, 4, 1, 1));
}

#[test]
fn mirroring_happens_to_half_the_views_and_never_where_it_is_not_allowed() {
    let (root, allowed) = small_set("");
    let packed = pack(&root, &allowed, 32);
    let (other_root, forbidden) = small_set("augment: { hflip: false }\n");
    let straight = pack(&other_root, &forbidden, 32);
    let (mut a, mut b) = (Viewer::new(), Viewer::new());
    let mut mirrored = 0;
    for epoch in 0..400 {
        let key = ViewKey { seed: 1, epoch };
        let x = a.train_pixels(&packed, 0, Augment::Mild, key).to_vec();
        let y = b.train_pixels(&straight, 0, Augment::Mild, key).to_vec();
        if x != y {
            let flipped: Vec<u8> = y
                .chunks(96)
                .flat_map(|row| row.chunks(3).rev().flatten().copied().collect::<Vec<_>>())
                .collect();
            assert_eq!(x, flipped, "a difference is a mirror");
            mirrored += 1;
        }
    }
    assert!((160..=240).contains(&mirrored), "{mirrored} of 400");
}

#[test]
fn digits_are_the_published_file_and_values_are_sixteenths() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/digits.csv.gz");
    let bytes = std::fs::read(file).unwrap();
    assert_eq!((bytes.len(), Sha256::of(&bytes).to_string().as_str()), (57_523, DIGITS_SHA256));
    assert_eq!(BUILT_IN, ["digits"]);
    let set = DataSet::load("digits", std::path::Path::new("nowhere")).unwrap();
    let info = set.info();
    assert_eq!(info.train, [5; 10]);
    assert_eq!(info.val_count(), 1747);
    let all: Vec<u32> = info.train.iter().zip(&info.val).map(|(a, b)| a + b).collect();
    assert_eq!(all, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    assert_eq!((info.channels, info.fixed_size), (1, Some(8)));
    assert!(info.warnings.is_empty(), "no exact duplicates: {:?}", info.warnings);
    assert!(set.attribution().unwrap().contains("E. Alpaydin and C. Kaynak"));
    let root = tempfile::tempdir().unwrap();
    let packed = pack(&root, &set, 8);
    let first = (0..packed.len()).find(|i| packed.path_of(*i) == "digits.csv.gz:1").unwrap();
    assert_eq!(packed.label(first), 0);
    let mut view = [0.0; 64];
    Viewer::new().eval(&packed, first, &mut view);
    assert_eq!(
        view[..16],
        [0., 0., 5., 13., 9., 1., 0., 0., 0., 0., 13., 15., 10., 15., 5., 0.]
            .map(|v: f32| v / 16.0)
    );
    let mut least = f32::MAX;
    let mut most = f32::MIN;
    for i in 0..packed.len() {
        Viewer::new().eval(&packed, i, &mut view);
        least = view.iter().copied().fold(least, f32::min);
        most = view.iter().copied().fold(most, f32::max);
    }
    assert_eq!((least, most), (0.0, 1.0));
    assert!(!packed.hflip());
    let wrong = set.pack(64, root.path(), &|_| {}).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "`image_size` is 64, but data set `digits` has pictures of 8×8: write `image_size: 8`"
    );
}

#[test]
fn the_digests_of_digits_are_fixed() {
    // In run ids: a change here means that every result on digits is another run.
    let set = DataSet::builtin("digits").unwrap().unwrap();
    insta::assert_snapshot!(format!("{}\n{}", set.info().content, set.info().split), @r"
    8943131e181bf88b85220b0ec1539af387bc6f88242bcfb148c0e1bf564e4ec6
    88d784729d97dea84d85f781895e2c9cf2b95c77c43bfd839c317babdf3bc456
    ");
}

#[test]
fn decoding_a_packed_set_again_gives_the_pictures_that_were_packed() {
    let (root, set) = small_set("");
    let packed = pack(&root, &set, 32);
    let bytes = std::fs::read(root.path().join("images").join(packed.path_of(0))).unwrap();
    let rgb = decode(&bytes, &Decode::default()).unwrap();
    let picture = packed.picture(0);
    assert_eq!(
        sweep_data::resize::resized_to(&rgb, picture.width, picture.height).pixels,
        picture.pixels
    );
}
