//! Wrong manifests and wrong files are refused with the line, what is wrong and what is allowed; never with a panic.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod support;

use std::path::Path;

use support::{class_folders, jpeg, write};
use sweep_data::{DataSet, Manifest};

/// (what, manifest, line, words that must be in the message)
type Case = (&'static str, &'static str, u64, &'static [&'static str]);

const WRONG_TEXTS: &[Case] = &[
    (
        "a key typo",
        "name: a\nsource: { folder: x }\nsplti: 1\n",
        3,
        &["unknown key `splti`", "did you mean `split`?", "classes"],
    ),
    (
        "a key typo inside a block",
        "name: a\nsource: { folder: x }\ndecode:\n  gfi: skip\n",
        4,
        &["unknown key `gfi`", "did you mean `gif`?"],
    ),
    (
        "a choice typo",
        "name: a\nsource: { folder: x }\nduplicates: wran\n",
        3,
        &["unknown value `wran`", "drop_from_train", "did you mean `warn`?"],
    ),
    ("no name", "source: { folder: x }\n", 1, &["missing key `name`"]),
    (
        "a bad name",
        "name: My Set\nsource: { folder: x }\n",
        1,
        &["`name` is `My Set`", "a-z, 0-9 and _"],
    ),
    ("no source", "name: a\n", 1, &["missing key `source`"]),
    (
        "a sha256 that is none",
        "name: a\nsource:\n  archive: { path: a.zip, sha256: 12ab }\n",
        3,
        &["`sha256` is `12ab`", "64 hexadecimal digits"],
    ),
    (
        "an archive from two places",
        "name: a\nsource:\n  archive: { path: a.zip, url: 'https://host/a.zip', sha256: '' }\n",
        3,
        &["exactly one of `path`"],
    ),
    (
        "an archive from nowhere",
        "name: a\nsource:\n  archive: { bytes: 3 }\n",
        3,
        &["exactly one of `path`"],
    ),
    (
        "a key typo in an archive",
        "name: a\nsource:\n  archive: { path: a.zip, sha265: '' }\n",
        3,
        &["unknown key `sha265`", "did you mean `sha256`?", "strip"],
    ),
    (
        "an archive that is a list",
        "name: a\nsource:\n  archive: [a.zip]\n",
        2,
        &["the path of an archive, or a map"],
    ),
    (
        "a url without a sha256",
        "name: a\nsource:\n  archive: { url: 'https://host/a.zip' }\n",
        3,
        &["missing key `sha256`"],
    ),
    (
        "a file as url",
        "name: a\nsource:\n  archive: { url: /data/a.zip, sha256: '' }\n",
        3,
        &["a file on this machine is a `path`"],
    ),
    (
        "a url of another kind",
        "name: a\nsource:\n  archive: { url: 'ftp://host/a.zip', sha256: '' }\n",
        3,
        &["http or https"],
    ),
    (
        "a secret in a url",
        "name: a\nsource:\n  archive: { url: 'https://me@host/a.zip', sha256: '' }\n",
        3,
        &["no place for secrets"],
    ),
    (
        "an unverified url",
        "name: a\nsource:\n  archive: { url: 'http://host/a.zip', sha256: '' }\n",
        3,
        &["nobody vouches"],
    ),
    (
        "a strip to the outside",
        "name: a\nsource:\n  archive: { path: a.zip, strip: ../b }\n",
        3,
        &["`../b` leaves"],
    ),
    (
        "source and sources",
        "name: a\nsource: { folder: x }\nsources: [{ folder: x }]\n",
        3,
        &["`sources` cannot go with `source`"],
    ),
    ("no sources", "name: a\nsources: []\n", 2, &["missing key `source`"]),
    (
        "layouts without classes",
        "name: a\nsource: { folder: x }\nlayouts: [{ called: b }]\n",
        3,
        &["missing key `classes`"],
    ),
    (
        "layout and layouts",
        "name: a\nclasses: [a, b]\nsource: { folder: x }\nlayout: folder_per_class\nlayouts: [{ called: b }]\n",
        4,
        &["`layout` cannot go with `layouts`"],
    ),
    (
        "a column in a layout of folders",
        "name: a\nclasses: [a, b]\nsource: { folder: x }\nlayouts:\n  - called: b\n    split: { column: part }\n",
        6,
        &["only `layout: csv` has columns"],
    ),
    (
        "an unknown layout",
        "name: a\nsource: { folder: x }\nlayout: folders_per_class\n",
        3,
        &["folder_per_class", "did you mean `folder_per_class`?"],
    ),
    (
        "a bad pattern",
        "name: a\nsource: { folder: x }\nlayout: { filename_prefix: { pattern: '([a' } }\n",
        3,
        &["`pattern` is no regular expression"],
    ),
    (
        "a pattern without class",
        "name: a\nsource: { folder: x }\nlayout: { filename_prefix: { pattern: '^a' } }\n",
        3,
        &["no group `(?<class>…)`"],
    ),
    (
        "a class twice",
        "name: a\nsource: { folder: x }\nclasses: [a, b, A]\n",
        3,
        &["class `A` is listed twice"],
    ),
    (
        "one class",
        "name: a\nsource: { folder: x }\nclasses: [a]\n",
        3,
        &["at least two classes, found 1"],
    ),
    (
        "a share of 1",
        "name: a\nsource: { folder: x }\nsplit:\n  stratified: { train: 1.0 }\n",
        4,
        &["`train` is 1", "in (0, 1)"],
    ),
    (
        "a share that is no number",
        "name: a\nsource: { folder: x }\nsplit:\n  stratified: { train: most }\n",
        4,
        &["most"],
    ),
    (
        "share and count",
        "name: a\nsource: { folder: x }\nsplit:\n  stratified: { train: 0.8, train_per_class: 5 }\n",
        4,
        &["exactly one of `train`"],
    ),
    (
        "none per class",
        "name: a\nsource: { folder: x }\nsplit:\n  stratified: { train_per_class: 0 }\n",
        4,
        &["`train_per_class` is 0", "at least 1"],
    ),
    (
        "one folder for both parts",
        "name: a\nsource: { folder: x }\nsplit: { folders: { train: t, val: ./t/ } }\n",
        3,
        &["must be two folders"],
    ),
    (
        "a part outside",
        "name: a\nsource: { folder: x }\nsplit: { folders: { train: ../t, val: v } }\n",
        3,
        &["path `../t` leaves the data set's folder"],
    ),
    (
        "a table outside",
        "name: a\nsource: { folder: x }\nlayout: { csv: { file: /etc/passwd } }\n",
        3,
        &["`/etc/passwd` leaves"],
    ),
    (
        "a column without a table",
        "name: a\nsource: { folder: x }\nsplit: { column: part }\n",
        3,
        &["only `layout: csv` has columns"],
    ),
    (
        "together with given parts",
        "name: a\nsource: { folder: x }\nsplit: { folders: { train: t, val: v } }\nduplicates: keep_together\n",
        4,
        &["use `drop_from_train`"],
    ),
    (
        "a rename to no class",
        "name: a\nclasses: [cat, dog]\nsource: { folder: x }\nrename: { Hound: dgo }\n",
        4,
        &["unknown class `dgo`", "did you mean `dog`?"],
    ),
    (
        "an expectation of no class",
        "name: a\nclasses: [cat, dog]\nsource: { folder: x }\nexpect:\n  train: { cats: 3 }\n",
        5,
        &["unknown class `cats`", "did you mean `cat`?"],
    ),
    (
        "no pixels at all",
        "name: a\nsource: { folder: x }\ndecode: { max_pixels: 0 }\n",
        3,
        &["`max_pixels` is 0", "1..=500_000_000"],
    ),
    (
        "a colour of four",
        "name: a\nsource: { folder: x }\ndecode: { alpha: { background: [1, 2, 3, 4] } }\n",
        3,
        &[],
    ),
    ("a bad glob", "name: a\nsource: { folder: x }\nignore: ['a[']\n", 3, &["`a[` is no glob"]),
    (
        "five channels",
        "name: a\nsource: { folder: x }\nlayout:\n  packed: { file: t.csv, side: 8, channels: 5, maximum: 16 }\n",
        4,
        &["`channels` is 5", "1 or 3"],
    ),
    ("a key twice", "name: a\nname: b\nsource: { folder: x }\n", 2, &["name"]),
    ("no YAML", "name: [a\n", 1, &[]),
    ("nothing", "", 1, &[]),
];

#[test]
fn wrong_manifests_are_refused_at_their_line() {
    for (what, text, line, words) in WRONG_TEXTS {
        let error =
            Manifest::parse("set.yaml", text).err().unwrap_or_else(|| panic!("{what}: accepted"));
        let message = error.to_string();
        println!("--- {what}\n{message}");
        if *what != "no YAML" {
            assert_eq!(error.line, *line, "{what}: {message}");
        }
        assert!(message.starts_with("set.yaml:") && message.contains('^'), "{what}: {message}");
        for word in *words {
            assert!(message.contains(word), "{what}: `{word}` is not in: {message}");
        }
    }
}

#[test]
fn the_caret_stands_under_the_wrong_word() {
    let error = Manifest::parse(
        "set.yaml",
        "name: a\nsource: { folder: x }\nsplit:\n  stratified: { train: 1.5 }\n",
    )
    .unwrap_err();
    insta::assert_snapshot!(error, @r"
    set.yaml:4:24: `train` is 1.5, but must be in (0, 1)
       |
     4 |   stratified: { train: 1.5 }
       |                        ^^^
    ");
}

/// A data set of `manifest` and whatever `make` puts beside it: the message it is refused with.
fn refused(manifest: &str, make: impl Fn(&Path)) -> String {
    let root = tempfile::tempdir().unwrap();
    make(root.path());
    write(root.path(), "datasets/set.yaml", manifest.as_bytes());
    let message = DataSet::load("set", root.path()).expect_err("accepted").to_string();
    println!("--- {message}");
    message
}

const TWO: &str = "name: set\nclasses: [cat, dog]\nsource: { folder: images }\n";

fn two_classes(root: &Path) {
    class_folders(&root.join("datasets/images"), &["cat", "dog"], 5);
}

#[test]
fn a_manifest_of_two_lines_is_enough_for_folders_of_images() {
    let root = tempfile::tempdir().unwrap();
    class_folders(&root.path().join("datasets/photos"), &["oak", "Ash", "elm"], 5);
    write(root.path(), "datasets/trees.yaml", b"name: trees\nsource: { folder: photos }\n");
    let set = DataSet::load("trees", root.path()).unwrap();
    assert_eq!(set.info().classes, ["Ash", "elm", "oak"], "sorted without regard to case");
    assert_eq!(
        (set.info().train.as_slice(), set.info().val.as_slice()),
        (&[4, 4, 4][..], &[1, 1, 1][..])
    );
    assert!(set.manifest().hflip());
}

#[test]
fn an_unknown_data_set_names_the_known_ones() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "datasets/weather.yaml", b"");
    let message = DataSet::load("weathr", root.path()).unwrap_err().to_string();
    assert!(
        message.starts_with(
            "unknown data set `weathr` (known: digits, weather); did you mean `weather`?"
        ),
        "{message}"
    );
}

#[test]
fn a_missing_folder_says_where_the_data_comes_from() {
    let message =
        refused("name: set\nsource: { folder: images }\nobtain: ask a botanist\n", |_| {});
    assert!(
        message.contains("set.yaml:2:19")
            && message.contains("is not there")
            && message.contains("to obtain it: ask a botanist"),
        "{message}"
    );
}

#[test]
fn folders_and_files_that_fit_no_class_are_named() {
    let stray = refused(TWO, |root| {
        two_classes(root);
        write(root, "datasets/images/dgo/1.jpg", &jpeg(1, 40, 40));
    });
    assert!(
        stray.contains("set.yaml:2")
            && stray.contains("folder `dgo` matches no class")
            && stray.contains("did you mean `dog`?"),
        "{stray}"
    );
    let empty_folder = refused(TWO, |root| {
        two_classes(root);
        std::fs::create_dir_all(root.join("datasets/images/bird")).unwrap();
    });
    assert!(empty_folder.contains("folder `bird` matches no class"), "{empty_folder}");
    let loose = refused(TWO, |root| {
        two_classes(root);
        write(root, "datasets/images/1.jpg", &jpeg(1, 40, 40));
    });
    assert!(loose.contains("file `1.jpg` lies in no class folder"), "{loose}");
    let no_match = refused(
        &format!("{TWO}layout: {{ filename_prefix: {{ pattern: '^(?<class>[a-z]+)_' }} }}\n"),
        two_classes,
    );
    assert!(no_match.contains("does not match `pattern`"), "{no_match}");
}

#[test]
fn classes_without_enough_images_are_named() {
    let empty =
        refused("name: set\nclasses: [cat, dog, bird]\nsource: { folder: images }\n", two_classes);
    assert!(
        empty.contains("set.yaml:2") && empty.contains("class `bird` has no images"),
        "{empty}"
    );
    let single = refused(TWO, |root| {
        class_folders(&root.join("datasets/images"), &["cat", "dog"], 1);
    });
    assert!(single.contains("class `cat` has 1 image(s): too few"), "{single}");
    let few =
        refused(&format!("{TWO}split: {{ stratified: {{ train_per_class: 5 }} }}\n"), two_classes);
    assert!(few.contains("class `cat` has 5 image(s): too few for 5 in train"), "{few}");
    let one_class = refused("name: set\nsource: { folder: images }\n", |root| {
        class_folders(&root.join("datasets/images"), &["cat"], 5);
    });
    assert!(one_class.contains("at least two classes, found 1 (cat)"), "{one_class}");
}

#[test]
fn folders_that_look_like_parts_are_not_taken_for_classes() {
    let message = refused("name: set\nsource: { folder: images }\n", |root| {
        class_folders(&root.join("datasets/images/train"), &["cat", "dog"], 5);
        class_folders(&root.join("datasets/images/test"), &["cat", "dog"], 2);
    });
    assert!(
        message.contains("write `split: { folders: { train: train, val: test } }`"),
        "{message}"
    );
}

#[test]
fn parts_that_are_not_there_are_named() {
    let message =
        refused(&format!("{TWO}split: {{ folders: {{ train: train, val: valid }} }}\n"), |root| {
            class_folders(&root.join("datasets/images/train"), &["cat", "dog"], 5);
            class_folders(&root.join("datasets/images/val"), &["cat", "dog"], 2);
        });
    assert!(
        message.contains("no folder `valid` for part `val`")
            && message.contains("did you mean `val`?"),
        "{message}"
    );
    let outside =
        refused(&format!("{TWO}split: {{ folders: {{ train: train, val: val }} }}\n"), |root| {
            class_folders(&root.join("datasets/images/train"), &["cat", "dog"], 5);
            class_folders(&root.join("datasets/images/val"), &["cat", "dog"], 2);
            class_folders(&root.join("datasets/images/extra"), &["cat"], 1);
        });
    assert!(outside.contains("lies in none of the split's folders (train, val)"), "{outside}");
}

#[test]
fn tables_are_refused_by_their_line() {
    let manifest =
        format!("{TWO}layout: {{ csv: {{ file: labels.csv }} }}\nsplit: {{ column: part }}\n");
    let with = |table: &'static str| {
        refused(&manifest, move |root| {
            two_classes(root);
            write(root, "datasets/images/labels.csv", table.as_bytes());
        })
    };
    let cases = [
        (
            "path,lable,part\n",
            "no column `label` (its columns: path, lable, part); did you mean `lable`?",
        ),
        (
            "path,label,part\n../x.jpg,cat,train\n",
            "line 2: path `../x.jpg` leaves the data set's folder",
        ),
        ("path,label,part\n/etc/passwd,cat,train\n", "line 2: path `/etc/passwd` leaves"),
        (
            "path,label,part\ncat/0.jpg,cat,train\ncat/0.jpg,cat,val\n",
            "line 3: `cat/0.jpg` is listed twice",
        ),
        ("path,label,part\ncat/77.jpg,cat,train\n", "line 2: file `cat/77.jpg` is not there"),
        (
            "path,label,part\ncat/0.jpg,cat,test\n",
            "line 2: part `test` is unknown (known: train, val)",
        ),
        (
            "path,label,part\ncat/0.jpg,cta,train\n",
            "label `cta` matches no class (classes: cat, dog); did you mean `cat`?",
        ),
        ("path,label,part\ncat/0.jpg,cat\n", "line 2"),
    ];
    for (table, words) in cases {
        let message = with(table);
        assert!(message.contains(words), "`{words}` is not in: {message}");
    }
}

#[test]
fn a_table_with_parts_is_read() {
    let root = tempfile::tempdir().unwrap();
    two_classes(root.path());
    let table = "file,kind,use\ncat/0.jpg,Cat,train\ncat/1.jpg,cat,val\ndog/0.jpg,dog,train\ndog/1.jpg,DOG,val\n";
    write(root.path(), "datasets/images/labels.csv", table.as_bytes());
    let manifest = format!(
        "{TWO}layout: {{ csv: {{ file: labels.csv, path: file, label: kind }} }}\nsplit: {{ column: use }}\n"
    );
    write(root.path(), "datasets/set.yaml", manifest.as_bytes());
    let set = DataSet::load("set", root.path()).unwrap();
    assert_eq!(
        (set.info().train.as_slice(), set.info().val.as_slice()),
        (&[1, 1][..], &[1, 1][..])
    );
}

#[cfg(unix)]
#[test]
fn links_to_the_outside_are_refused_and_links_inside_are_followed() {
    use std::os::unix::fs::symlink;
    let message = refused(TWO, |root| {
        two_classes(root);
        write(root, "secret.jpg", &jpeg(1, 40, 40));
        symlink(root.join("secret.jpg"), root.join("datasets/images/cat/link.jpg")).unwrap();
    });
    assert!(message.contains("cat/link.jpg: leads out of the data set's folder"), "{message}");
    let root = tempfile::tempdir().unwrap();
    two_classes(root.path());
    symlink("0.jpg", root.path().join("datasets/images/cat/link.jpg")).unwrap();
    write(root.path(), "datasets/set.yaml", TWO.as_bytes());
    assert_eq!(DataSet::load("set", root.path()).unwrap().examples().len(), 11);
}
