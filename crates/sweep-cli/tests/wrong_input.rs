//! Promise: a wrong sweep file, manifest or image is refused before anything is queued, with file, line, what is wrong and
//! what is allowed; exit code 2; never a panic; nothing is made.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::Place;

/// Line 7 of the right sweep file is replaced by `line`.
fn sweep_line(line: &str) -> String {
    format!(
        "name: t\ndatasets: [digits]\nseeds: 3\nbaseline: softmax\nlosses:\n  - softmax\n{line}\nmodel: {{ backbone: small_cnn }}\ntraining: {{ epochs: 2, batch_size: 10 }}\n"
    )
}

/// A one-colour PNG of 8 × 8 pixels.
fn png(colour: u8) -> Vec<u8> {
    image_bytes(8, 8, &[colour, 100, 200])
}

/// A PNG whose header says `width` × `height`, whatever its pixels are.
fn image_bytes(width: u32, height: u32, pixel: &[u8; 3]) -> Vec<u8> {
    let mut rows = Vec::new();
    for _ in 0..8 {
        rows.push(0);
        rows.extend((0..8).flat_map(|_| pixel));
    }
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    chunk(&mut png, b"IHDR", &header);
    chunk(&mut png, b"IDAT", &stored_zlib(&rows));
    chunk(&mut png, b"IEND", b"");
    png
}

fn chunk(png: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    png.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
    let start = png.len();
    png.extend(kind);
    png.extend(data);
    let crc = png[start..].iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    });
    png.extend((!crc).to_be_bytes());
}

/// A zlib stream of one stored block.
fn stored_zlib(data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap();
    let mut out = vec![0x78, 0x01, 0x01];
    out.extend(len.to_le_bytes());
    out.extend((!len).to_le_bytes());
    out.extend(data);
    let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (a + b) % 65521)
    });
    out.extend((b << 16 | a).to_be_bytes());
    out
}

/// Two classes of five images.
fn with_images(place: &Place) {
    for class in ["cat", "dog"] {
        for i in 0..5u8 {
            place.write(&format!("photos/{class}/{i}.png"), png(i * 20 + u8::from(class == "dog")));
        }
    }
}

/// What is not as it should be when `command` must refuse `t.yaml`: exit code 2, each of `expected` in the text, nothing made.
fn faults(name: &str, place: &Place, command: &str, expected: &[&str]) -> Vec<String> {
    let output = place.sweep(&[command, "t.yaml"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let mut faults = Vec::new();
    if output.status.code() != Some(2) {
        faults.push(format!("exit code {:?}", output.status.code()));
    }
    faults.extend(
        expected.iter().filter(|text| !stderr.contains(**text)).map(|text| format!("no `{text}`")),
    );
    if stderr.contains("panicked") {
        faults.push("a panic".to_owned());
    }
    if place.path().join(".sweep/sweep.db").exists() {
        faults.push("something was queued".to_owned());
    }
    faults.into_iter().map(|fault| format!("{name}, {command}: {fault}: {stderr}")).collect()
}

fn both(name: &str, place: &Place, expected: &[&str]) -> Vec<String> {
    ["check", "run"].iter().flat_map(|command| faults(name, place, command, expected)).collect()
}

#[test]
fn wrong_sweep_files_are_refused() {
    let mut found = Vec::new();
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "misspelt hyperparameter",
            "  - am_softmax: { marign: 0.2 }",
            &["t.yaml:7:19", "marign", "margin", "^"],
        ),
        ("misspelt loss", "  - am_sofmax", &["t.yaml:7:5", "am_softmax", "^"]),
        ("margin of one", "  - am_softmax: { margin: 1.0 }", &["t.yaml:7:", "[0, 1)"]),
        ("negative margin", "  - am_softmax: { margin: -0.1 }", &["t.yaml:7:", "[0, 1)"]),
        ("scale of zero", "  - am_softmax: { scale: 0 }", &["t.yaml:7:", "> 0"]),
        ("margin beyond a right angle", "  - arcface: { margin: 1.6 }", &["t.yaml:7:", "margin"]),
        ("impossible margin", "  - l_softmax: { margin: 5 }", &["t.yaml:7:", "1, 2, 3, 4"]),
        ("fractional margin", "  - a_softmax: { margin: 2.5 }", &["t.yaml:7:", "1, 2, 3, 4"]),
        ("impossible power", "  - hinge: { power: 4 }", &["t.yaml:7:", "1, 2, 3"]),
        ("gamma between 0 and 1", "  - focal: { gamma: 0.5 }", &["t.yaml:7:", "gamma"]),
        ("label smoothing of one", "  - softmax: { label_smoothing: 1 }", &["t.yaml:7:", "[0, 1)"]),
        ("hyperparameter of another loss", "  - bce: { margin: 0.3 }", &["t.yaml:7:", "margin"]),
        ("word for a number", "  - am_softmax: { margin: large }", &["t.yaml:7:", "number"]),
        ("not a number", "  - am_softmax: { scale: .nan }", &["t.yaml:7:", "scale"]),
        ("empty axis", "  - am_softmax: { margin: [] }", &["t.yaml:7:", "empty"]),
        ("duplicate axis value", "  - am_softmax: { margin: [0.2, 0.20] }", &["t.yaml:7:", "once"]),
        ("duplicate configuration", "  - softmax", &["t.yaml:7:", "softmax"]),
        ("duplicate key", "  - am_softmax: { margin: 0.1, margin: 0.2 }", &["t.yaml:7:", "margin"]),
        ("two losses in one item", "  - { cosine: {}, bce: {} }", &["t.yaml:7:"]),
        (
            "zip of unequal lengths",
            "  - am_softmax: { zip: { margin: [0.1, 0.2], scale: [10] } }",
            &["t.yaml:7:"],
        ),
        (
            "learning rate of zero",
            "  - cosine: { training: { learning_rate: 0 } }",
            &["t.yaml:7:", "learning_rate", "> 0"],
        ),
        (
            "unknown training key",
            "  - cosine: { training: { epoch: 3 } }",
            &["t.yaml:7:", "epochs"],
        ),
        ("unknown top-level key", "seed: 3", &["t.yaml:7:", "seeds"]),
        (
            "huge grid",
            "  - am_softmax: { sample: { count: 4000000000, margin: { uniform: [0, 0.5] } } }",
            &["t.yaml:"],
        ),
        ("broken YAML", "  - am_softmax: { margin: [0.1", &["t.yaml:"]),
        ("tab for spaces", "\t- cosine", &["t.yaml:", "tab"]),
    ];
    for (name, line, expected) in cases {
        let place = Place::new();
        place.write("t.yaml", sweep_line(line));
        found.extend(both(name, &place, expected));
    }
    let whole: &[(&str, &str, &str, &[&str])] = &[
        ("no seeds", "seeds: 3", "seeds: 0", &["t.yaml:3:", "seeds"]),
        ("a seed twice", "seeds: 3", "seeds: [1, 2, 1]", &["t.yaml:3:"]),
        (
            "a baseline that is not among the losses",
            "baseline: softmax",
            "baseline: hinge",
            &["t.yaml:4:", "softmax"],
        ),
        ("a data set twice", "datasets: [digits]", "datasets: [digits, digits]", &["t.yaml:2:"]),
        ("an unknown data set", "datasets: [digits]", "datasets: [digit]", &["digit", "digits"]),
        ("a missing name", "name: t\n", "", &["t.yaml:", "name"]),
        ("a name that is a path", "name: t", "name: ../t", &["t.yaml:1:", "name"]),
        ("an unknown backbone", "small_cnn", "resnet51", &["t.yaml:8:", "resnet50"]),
        ("a batch of one", "batch_size: 10", "batch_size: 1", &["t.yaml:9:", "batch_size"]),
        ("no epochs", "epochs: 2", "epochs: 0", &["t.yaml:9:", "epochs"]),
        (
            "warm-up to the end",
            "epochs: 2",
            "epochs: 2, warmup_epochs: 2",
            &["t.yaml:9:", "warmup_epochs"],
        ),
        (
            "a size digits do not have",
            "epochs: 2",
            "epochs: 2, image_size: 64",
            &["t.yaml:9:", "8"],
        ),
        (
            "weights that nobody published",
            "small_cnn",
            "small_cnn, weights: imagenet",
            &["t.yaml:8:", "weights"],
        ),
        (
            "weights that are not there",
            "small_cnn",
            "resnet18, weights: none.pth",
            &["weights none.pth", "cannot read"],
        ),
        (
            "a frozen backbone with augmentation",
            "epochs: 2",
            "epochs: 2, mode: head, augment: mild",
            &["t.yaml:9:", "none"],
        ),
        (
            "an unknown test",
            "epochs: 2, batch_size: 10 }",
            "epochs: 2, batch_size: 10 }\nanalysis: { test: t_test }",
            &["t.yaml:10:", "sign_flip"],
        ),
        (
            "an alpha of one",
            "epochs: 2, batch_size: 10 }",
            "epochs: 2, batch_size: 10 }\nanalysis: { alpha: 1 }",
            &["t.yaml:10:", "alpha"],
        ),
    ];
    for (name, from, to, expected) in whole {
        let place = Place::new();
        let right = sweep_line("  - cosine");
        assert!(right.contains(from), "{name}");
        place.write("t.yaml", right.replacen(from, to, 1));
        found.extend(both(name, &place, expected));
    }
    let place = Place::new();
    place.write("t.yaml", [0x6e, 0x61, 0xff, 0xfe]);
    found.extend(both("not text", &place, &["t.yaml", "UTF-8"]));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn wrong_manifests_and_images_are_refused() {
    let mut found = Vec::new();
    const SWEEP: &str = "name: t\ndatasets: [m.yaml]\nseeds: 2\nlosses: [softmax]\nmodel: { backbone: resnet18 }\ntraining: { epochs: 1, batch_size: 2, image_size: 32 }\n";
    const RIGHT: &str = "name: m\nsource: { folder: photos }\nlayout: folder_per_class\nsplit: { stratified: { train: 0.6 } }\n";
    let cases: &[(&str, &str, &str, &[&str])] = &[
        ("misspelt key", "layout:", "layuot:", &["m.yaml:3:", "layout"]),
        (
            "unknown layout",
            "folder_per_class",
            "folder_by_class",
            &["m.yaml:3:", "folder_per_class"],
        ),
        ("fraction above one", "train: 0.6", "train: 1.6", &["m.yaml:4:", "train"]),
        ("fraction as text", "train: 0.6", "train: most", &["m.yaml:4:"]),
        ("missing folder", "photos", "fotos", &["m.yaml", "fotos"]),
        (
            "a source that climbs out by CSV",
            "layout: folder_per_class",
            "layout: { csv: { file: list.csv } }",
            &["escape.png"],
        ),
        (
            "a missing table",
            "layout: folder_per_class",
            "layout: { csv: { file: none.csv } }",
            &["none.csv"],
        ),
        (
            "an archive without an address",
            "{ folder: photos }",
            "{ archive: { url: 'a.zip', sha256: '', bytes: 0 } }",
            &["m.yaml:2:", "http"],
        ),
        ("a missing archive", "{ folder: photos }", "{ archive: none.zip }", &["none.zip"]),
        (
            "an archive that is none",
            "{ folder: photos }",
            "{ archive: photos/cat/0.png }",
            &["0.png", "zip"],
        ),
        (
            "a class that no folder has",
            "layout: folder_per_class",
            "classes: [cat, dog, emu]",
            &["emu"],
        ),
        (
            "a folder that no class has",
            "layout: folder_per_class",
            "classes: [cat, bird]",
            &["m.yaml:", "dog"],
        ),
        (
            "a pattern that is no pattern",
            "layout: folder_per_class",
            "layout: { filename_prefix: { pattern: '(' } }",
            &["m.yaml:3:", "pattern"],
        ),
        (
            "counts that do not fit",
            "layout: folder_per_class",
            "expect: { train: { cat: 4, dog: 3 }, val: { cat: 2, dog: 2 } }",
            &["cat", "4", "3"],
        ),
        (
            "an unknown policy",
            "layout: folder_per_class",
            "duplicates: ignore",
            &["m.yaml:3:", "warn"],
        ),
        ("no name", "name: m\n", "", &["m.yaml", "name"]),
    ];
    for (name, from, to, expected) in cases {
        let place = Place::new();
        with_images(&place);
        if to.contains("list.csv") {
            place.write("photos/list.csv", "path,label\n../escape.png,cat\n0.png,dog\n");
        }
        place.write("t.yaml", SWEEP);
        assert!(RIGHT.contains(from), "{name}");
        place.write("m.yaml", RIGHT.replacen(from, to, 1));
        found.extend(both(name, &place, expected));
    }
    let files: &[(&str, &str, Vec<u8>, &[&str])] = &[
        ("a truncated image", "photos/cat/1.png", png(1)[..60].to_vec(), &["1.png"]),
        (
            "a text that says it is an image",
            "photos/cat/1.png",
            b"not an image at all".to_vec(),
            &["1.png"],
        ),
        ("an empty image", "photos/dog/2.jpg", Vec::new(), &["2.jpg"]),
        (
            "an image that claims to be huge",
            "photos/cat/1.png",
            image_bytes(60_000, 60_000, &[1, 2, 3]),
            &["1.png", "max_pixels"],
        ),
        (
            "an image that claims more rows than it has",
            "photos/cat/1.png",
            image_bytes(8, 800, &[1, 2, 3]),
            &["1.png"],
        ),
    ];
    for (name, path, bytes, expected) in files {
        let place = Place::new();
        with_images(&place);
        place.write(path, bytes);
        place.write("t.yaml", SWEEP);
        place.write("m.yaml", RIGHT);
        // Pictures are decoded when they are packed, before anything is queued; `check` reads headers only.
        found.extend(faults(name, &place, "run", expected));
    }
    let place = Place::new();
    with_images(&place);
    std::fs::create_dir_all(place.path().join("photos/emu")).unwrap();
    place.write("t.yaml", SWEEP);
    place.write("m.yaml", RIGHT);
    found.extend(both("an empty class", &place, &["emu"]));
    #[cfg(unix)]
    {
        let place = Place::new();
        with_images(&place);
        place.write("outside.png", png(9));
        std::os::unix::fs::symlink(
            place.path().join("outside.png"),
            place.path().join("photos/cat/link.png"),
        )
        .unwrap();
        place.write("t.yaml", SWEEP);
        place.write("m.yaml", RIGHT);
        found.extend(both("a link that leaves the folder", &place, &["link.png"]));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
