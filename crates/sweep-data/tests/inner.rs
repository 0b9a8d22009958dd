//! The inner split: what is chosen on it never saw the images that judge.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod support;

use std::collections::HashSet;

use support::{class_folders, jpeg, write};
use sweep_data::{DataSet, Part};

#[test]
fn the_inner_split_of_digits_parts_its_training_images_again() {
    let here = std::path::Path::new("");
    let outer = DataSet::load("digits", here).unwrap();
    let inner = DataSet::load("digits_inner", here).unwrap();
    assert_eq!(inner.info().name, "digits_inner");
    assert_eq!((inner.info().train.clone(), inner.info().val.clone()), (vec![3; 10], vec![2; 10]));
    let train: HashSet<_> =
        outer.examples().iter().filter(|e| e.part == Part::Train).map(|e| e.path.clone()).collect();
    assert!(inner.examples().iter().all(|e| train.contains(&e.path)));
    assert_ne!(inner.info().split, outer.info().split);
    assert_ne!(inner.info().content, outer.info().content);
    assert!(inner.attribution().is_some());
}

#[test]
fn a_training_image_that_equals_a_validation_image_plays_no_part() {
    let root = tempfile::tempdir().unwrap();
    for part in ["train", "val"] {
        class_folders(&root.path().join("datasets/images").join(part), &["cat", "dog"], 12);
    }
    // Seeds are equal in both parts, so every training image leaks; new ones do not.
    for i in 0..8 {
        for (c, class) in (0..).zip(["cat", "dog"]) {
            write(
                root.path(),
                &format!("datasets/images/train/{class}/new{i}.jpg"),
                &jpeg(7000 + 100 * c + i, 40, 32),
            );
        }
    }
    let manifest =
        "name: pets\nsource: { folder: images }\nsplit: { folders: { train: train, val: val } }\n";
    write(root.path(), "datasets/pets.yaml", manifest.as_bytes());
    for reference in ["pets_inner", "datasets/pets_inner.yaml"] {
        let inner = DataSet::load(reference, root.path()).unwrap();
        assert_eq!(
            (inner.info().train.clone(), inner.info().val.clone()),
            (vec![6, 6], vec![2, 2])
        );
        assert!(inner.examples().iter().all(|e| e.path.contains("/new")));
    }
}

#[test]
fn a_manifest_of_that_name_goes_before_the_inner_split() {
    let root = tempfile::tempdir().unwrap();
    class_folders(&root.path().join("datasets/images"), &["cat", "dog"], 5);
    write(root.path(), "datasets/pets.yaml", b"name: pets\nsource: { folder: images }\n");
    write(root.path(), "datasets/pets_inner.yaml", b"name: mine\nsource: { folder: images }\n");
    assert_eq!(DataSet::load("pets_inner", root.path()).unwrap().info().name, "mine");
    let unknown = DataSet::load("cats_inner", root.path()).unwrap_err().to_string();
    assert!(unknown.contains("unknown data set `cats_inner`"), "{unknown}");
}

#[test]
fn too_few_images_for_an_inner_split_are_named() {
    let root = tempfile::tempdir().unwrap();
    class_folders(&root.path().join("datasets/images"), &["cat", "dog"], 2);
    write(root.path(), "datasets/pets.yaml", b"name: pets\nsource: { folder: images }\n");
    let message = DataSet::load("pets_inner", root.path()).unwrap_err().to_string();
    assert!(message.contains("class `cat` has 1 image(s): too few"), "{message}");
}
