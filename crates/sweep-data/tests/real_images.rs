//! The Fruits and Covid images against what is known of them. Skipped, loudly, where they are not at hand.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod support;

use sweep_data::decode::{Format, PixelKind};
use sweep_data::{Audit, Part, audit};

/// Files of a format and a kind of pixel, under any name.
fn files(audit: &Audit, format: Format, pixel: PixelKind) -> usize {
    audit
        .kinds
        .iter()
        .filter(|k| k.format == format && k.pixel == Some(pixel))
        .map(|k| k.files)
        .sum()
}

#[test]
fn fruits_has_the_counts_formats_and_oddities_that_are_known() {
    let Some(set) = support::real("fruits", "fruits") else { return };
    assert_eq!(
        (set.info().train.as_slice(), set.info().val.as_slice()),
        (&[75, 73, 20, 72][..], &[19, 18, 5, 18][..])
    );
    assert!(set.info().warnings.is_empty(), "{:?}", set.info().warnings);
    let audit = audit(&set, &|_| {});
    assert_eq!(audit.unreadable, [], "37 mislabelled files and all others decode");
    let jpegs = || audit.kinds.iter().filter(|k| k.format == Format::Jpeg);
    assert_eq!(jpegs().map(|k| k.files).sum::<usize>(), 263);
    assert_eq!(jpegs().filter(|k| k.progressive).map(|k| k.files).sum::<usize>(), 63);
    assert_eq!(files(&audit, Format::Png, PixelKind::Rgba), 25);
    assert_eq!(files(&audit, Format::Png, PixelKind::Rgb), 8);
    assert_eq!(files(&audit, Format::Png, PixelKind::Palette), 4);
    let mislabelled: usize = audit.kinds.iter().filter(|k| k.mislabelled).map(|k| k.files).sum();
    assert_eq!(mislabelled, 37, "PNG named .jpg");
    let sizes = audit.sizes.unwrap();
    assert_eq!(
        (sizes.smallest, sizes.largest, sizes.short_side_below_224),
        ((166, 171), (2569, 4605), 13)
    );
    assert_eq!((audit.equal.len(), audit.leaked.len()), (0, 0));
    assert!(audit.near.iter().all(|near| !near.across_parts), "{:?}", audit.near);
    assert!(!audit.has_errors());
    let text = audit.text();
    for row in ["Apple       75      19", "Mixed       20       5", "sum        240      60"] {
        assert!(text.contains(row), "{text}");
    }
    assert!(text.contains("layout  as repacked, a folder per part and class"), "{text}");
    assert!(text.contains("25  PNG RGBA named .jpg   ← the name says another format"), "{text}");
}

#[test]
fn covid_leaks_six_images_by_name_and_gives_its_class_away() {
    let Some(set) = support::real("covid", "covid") else { return };
    assert_eq!(
        (set.info().train.as_slice(), set.info().val.as_slice()),
        (&[111, 70, 70][..], &[26, 20, 20][..])
    );
    assert_eq!(set.info().warnings, ["6 of 66 validation images (9.1 %) are also in train"]);
    let audit = audit(&set, &|_| {});
    let of =
        |format| audit.kinds.iter().filter(|k| k.format == format).map(|k| k.files).sum::<usize>();
    assert_eq!((of(Format::Jpeg), of(Format::Png)), (306, 11));
    assert_eq!(audit.sizes.unwrap().largest, (640, 640));
    assert_eq!(audit.equal.len(), 10);
    assert!(
        audit
            .equal
            .iter()
            .all(|group| group.equal_files && !group.across_classes && group.members.len() == 2)
    );
    let pairs = |across: bool| {
        let chosen = audit.equal.iter().filter(move |group| group.across_parts == across);
        chosen.map(|g| (g.members[0].path.as_str(), g.members[1].path.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(
        pairs(true),
        [
            (
                "train/Covid/069.jpg",
                "val/Covid/radiopaedia-2019-novel-coronavirus-infected-pneumonia.jpg"
            ),
            ("train/Covid/COVID-00003b.jpg", "val/Covid/COVID-00003b.jpg"),
            ("train/Covid/COVID-00012.jpg", "val/Covid/COVID-00012.jpg"),
            ("train/Covid/COVID-00022.jpg", "val/Covid/COVID-00022.jpg"),
            ("train/Covid/COVID-00033.jpg", "val/Covid/COVID-00033.jpg"),
            ("train/Covid/COVID-00037.jpg", "val/Covid/COVID-00037.jpg"),
        ]
    );
    assert_eq!(
        pairs(false),
        [
            ("train/Normal/019.jpeg", "train/Normal/020.jpeg"),
            ("train/Normal/093.jpeg", "train/Normal/094.jpeg"),
            ("train/Viral Pneumonia/019.jpeg", "train/Viral Pneumonia/020.jpeg"),
            (
                "val/Covid/0112.jpg",
                "val/Covid/auntminnie-2020_01_31_20_24_2322_2020_01_31_x-ray_coronavirus_US.jpg"
            ),
        ]
    );
    assert_eq!(audit.leaked.len(), 6);
    let only = |property: &str| {
        let giveaway = audit.giveaways.iter().find(|g| g.property == property).unwrap();
        assert!(giveaway.is_notable(), "{property}");
        assert_eq!(giveaway.exclusive.len(), 1, "{property}");
        giveaway.exclusive[0].clone()
    };
    let extension = only("extension");
    assert_eq!((extension.class.as_str(), extension.images, extension.of), ("Covid", 79, 137));
    assert_eq!(extension.values, [".jpg", ".png"]);
    assert_eq!(only("stored channels").images, 42, "single-channel files");
    let colour = only("colour");
    assert_eq!(colour.values, ["single channel", "unequal channels"]);
    assert_eq!((colour.images, colour.in_val), (42 + 11, 5 + 7));
    assert!(!audit.has_errors());
    let text = audit.text();
    assert!(text.contains("WARNING: 6 of 66 validation images (9.1 %) are also in train"));
    assert!(text.contains("sizes: all 317 are 640×640   ← a resized copy"), "{text}");
    assert!(text.contains("layout  as repacked (train/Covid/…, val/Covid/…)"), "{text}");
    for row in [
        "Covid               111      26",
        "Normal               70      20",
        "sum                 251      66",
    ] {
        assert!(text.contains(row), "{text}");
    }
}

/// (path in an archive, file) of every image of a real set.
fn members(
    images: &str,
    name: impl Fn(&str, &str, &str) -> String,
) -> Option<Vec<(String, std::path::PathBuf)>> {
    let set = support::real(images, images)?;
    let folder = set.origin()?.folder.clone();
    let member = |path: &str| {
        let parts: Vec<&str> = path.split('/').collect();
        (name(parts[0], parts[1], parts[2]), folder.join(path))
    };
    Some(set.examples().iter().map(|e| member(&e.path)).collect())
}

/// The content and split digests of the shipped manifest on these files as an archive, which must equal those of the folder.
fn same_from_archive(manifest: &str, members: &[(String, std::path::PathBuf)], layout: &str) {
    use std::io::Write as _;
    let root = tempfile::tempdir().unwrap();
    let archive = root.path().join("set.zip");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&archive).unwrap());
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, file) in members {
        zip.start_file(name, stored).unwrap();
        zip.write_all(&std::fs::read(file).unwrap()).unwrap();
    }
    zip.finish().unwrap();
    let cache = root.path().join("cache");
    let opening = sweep_data::Opening {
        instead: Some(&archive),
        cache: Some(&cache),
        ..sweep_data::Opening::default()
    };
    let path = support::root().join(format!("sweeps/datasets/{manifest}.yaml"));
    let set = sweep_data::DataSet::open(&path, &opening).unwrap_or_else(|error| panic!("{error}"));
    let found = set.origin().unwrap().layout.clone().unwrap();
    assert!(found.starts_with(layout), "{found}");
    let wanted = support::real(manifest, manifest).unwrap();
    assert_eq!(set.info(), wanted.info());
}

#[test]
fn fruits_is_the_same_from_the_archive_as_published() {
    let named = |part: &str, class: &str, file: &str| {
        let number: String = file.chars().filter(char::is_ascii_digit).collect();
        format!("{part}_zip/{part}/{}_{number}.jpg", class.to_lowercase())
    };
    let Some(mut files) = members("fruits", named) else { return };
    // A name that stood twice would be refused: number those that lost their difference.
    let mut seen = std::collections::HashSet::new();
    for (i, (name, _)) in files.iter_mut().enumerate() {
        if !seen.insert(name.clone()) {
            *name = name.replace(".jpg", &format!("_{i}.jpg"));
        }
    }
    same_from_archive("fruits", &files, "as published (train_zip/train/apple_1.jpg");
}

#[test]
fn covid_is_the_same_from_the_archive_as_published() {
    let named = |part: &str, class: &str, file: &str| {
        let part = if part == "val" { "test" } else { part };
        format!("Covid19-dataset/{part}/{class}/{file}")
    };
    let Some(files) = members("covid", named) else { return };
    same_from_archive("covid", &files, "as published (Covid19-dataset/");
}

#[test]
fn the_inner_split_of_covid_sees_neither_validation_images_nor_their_equals() {
    let Some(covid) = support::real("covid", "covid") else { return };
    let root = tempfile::tempdir().unwrap();
    let manifest =
        std::fs::read_to_string(support::root().join("sweeps/datasets/covid.yaml")).unwrap();
    let folder = covid.origin().unwrap().folder.canonicalize().unwrap();
    let manifest = manifest.replace("../../data/covid\n", &format!("{}\n", folder.display()));
    support::write(root.path(), "datasets/covid.yaml", manifest.as_bytes());
    let inner = sweep_data::DataSet::load("covid_inner", root.path()).unwrap();
    assert_eq!(
        (inner.info().train.as_slice(), inner.info().val.as_slice()),
        (&[78, 52, 52][..], &[27, 18, 18][..])
    );
    let judged: std::collections::HashSet<_> =
        covid.examples().iter().filter(|e| e.part == Part::Val).map(|e| e.sha256).collect();
    assert!(inner.examples().iter().all(|e| !judged.contains(&e.sha256)));
    assert!(inner.info().warnings.is_empty(), "{:?}", inner.info().warnings);
}

#[test]
fn covid_without_its_leak_loses_six_training_images_and_no_validation_image() {
    let (Some(set), Some(leaky)) =
        (support::real("covid_no_leak", "covid"), support::real("covid", "covid"))
    else {
        return;
    };
    assert_eq!(
        (set.info().train.as_slice(), set.info().val.as_slice()),
        (&[105, 70, 70][..], &[26, 20, 20][..])
    );
    assert!(set.info().warnings.is_empty(), "{:?}", set.info().warnings);
    assert_ne!(set.info().split, leaky.info().split);
    let val = |set: &sweep_data::DataSet| {
        set.examples()
            .iter()
            .filter(|e| e.part == Part::Val)
            .map(|e| e.path.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(val(&set), val(&leaky));
}
