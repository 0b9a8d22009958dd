#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use proptest::prelude::*;

use super::*;

const ZIPPED: &[u8] = include_bytes!("../../tests/fixtures/tiny.pth");
const LEGACY: &[u8] = include_bytes!("../../tests/fixtures/tiny_legacy.pth");

fn tensor(archive: &Archive<'_>, name: &str) -> (Vec<usize>, Vec<f32>) {
    let layout = &archive.entries[name];
    (layout.shape.clone(), archive.values(layout).unwrap())
}

fn message(bytes: &[u8]) -> String {
    Archive::open(bytes).err().unwrap().to_string()
}

#[test]
fn both_containers_of_torch_hold_the_same_numbers() {
    for bytes in [ZIPPED, LEGACY] {
        let archive = Archive::open(bytes).unwrap();
        assert_eq!(tensor(&archive, "plain"), (vec![2, 2], vec![1.5, -2.0, 0.25, 3.0]));
        let transposed =
            [0.0, 4.0, 8.0, 1.0, 5.0, 9.0, 2.0, 6.0, 10.0, 3.0, 7.0, 11.0].map(f32::from);
        assert_eq!(tensor(&archive, "transposed"), (vec![4, 3], transposed.to_vec()));
        assert_eq!(tensor(&archive, "part"), (vec![2, 2], vec![16.0, 18.0, 20.0, 22.0]));
        assert_eq!(tensor(&archive, "double"), (vec![2], vec![1.0, 1e-3]));
        assert_eq!(tensor(&archive, "half"), (vec![2], vec![0.5, -1.25]));
        assert_eq!(tensor(&archive, "bfloat"), (vec![2], vec![0.5, -1.25]));
        assert_eq!(tensor(&archive, "parameter"), (vec![1], vec![7.0]));
        assert_eq!(tensor(&archive, "scalar"), (vec![], vec![3.5]));
        let counter = archive.entries["whole.num_batches_tracked"].element;
        assert_eq!(counter, Element::Whole(8));
        assert_eq!(archive.entries.len(), 9);
    }
}

/// A file of this format with one tensor `w` described by `entry`.
fn safetensors(entry: &str, data: &[u8]) -> Vec<u8> {
    let header = format!(r#"{{"__metadata__":{{"format":"pt"}},"w":{entry}}}"#);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn a_safetensors_file_is_read() {
    let data: Vec<u8> = [1.0f32, 2.0, -3.0, 4.5].iter().flat_map(|v| v.to_le_bytes()).collect();
    let bytes = safetensors(r#"{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}"#, &data);
    let archive = Archive::open(&bytes).unwrap();
    assert_eq!(tensor(&archive, "w"), (vec![2, 2], vec![1.0, 2.0, -3.0, 4.5]));
}

#[test]
fn a_safetensors_file_that_claims_too_much_is_refused() {
    let huge = usize::MAX;
    for (entry, expected) in [
        (r#"{"dtype":"F32","shape":[2,2],"data_offsets":[0,17]}"#.to_owned(), "outside the data"),
        (r#"{"dtype":"F32","shape":[2,2],"data_offsets":[9,1]}"#.to_owned(), "outside the data"),
        (r#"{"dtype":"F8","shape":[2,2],"data_offsets":[0,16]}"#.to_owned(), "type \"F8\""),
        (r#"{"dtype":"F32","shape":[-1],"data_offsets":[0,16]}"#.to_owned(), "its header"),
        (format!(r#"{{"dtype":"F32","shape":[{huge},2],"data_offsets":[0,16]}}"#), "outside"),
        (format!(r#"{{"dtype":"F32","shape":[{huge}],"data_offsets":[0,16]}}"#), "outside"),
        (r#"{"dtype":"F32","shape":[5],"data_offsets":[0,16]}"#.to_owned(), "outside the data"),
    ] {
        let bytes = safetensors(&entry, &[0; 16]);
        let found = match Archive::open(&bytes) {
            Err(error) => error.to_string(),
            Ok(archive) => archive.values(&archive.entries["w"]).unwrap_err().to_string(),
        };
        assert!(found.contains(expected), "{entry}: {found}");
    }
    let mut bytes = safetensors("{}", &[]);
    bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(message(&bytes).contains("header ends early"));
}

#[test]
fn a_file_that_is_no_state_dict_is_refused_with_the_reason() {
    for (bytes, expected) in [
        (&b""[..], "starts as none"),
        (b"not weights at all", "starts as none"),
        (b"PK\x03\x04 and nothing else", "as an archive"),
        (
            include_bytes!("../../tests/fixtures/not_a_state_dict.pth"),
            "`torch.nn.modules.linear.Linear`, which is not part of a state dict",
        ),
        (&ZIPPED[..ZIPPED.len() / 2], "as an archive"),
        (&LEGACY[..LEGACY.len() - 1], "its data ends early"),
    ] {
        let found = message(bytes);
        assert!(found.contains(expected), "{found}");
    }
}

/// A legacy file whose state dict is this pickle.
fn legacy(pickle: &[u8]) -> Vec<u8> {
    let mut bytes = torch::LEGACY_START.to_vec();
    bytes.extend(b"\x80\x02M\xe9\x03.\x80\x02}.");
    bytes.extend(pickle);
    bytes.extend(b"\x80\x02].");
    bytes
}

#[test]
fn a_pickle_that_is_a_program_is_refused() {
    for (pickle, expected) in [
        (&b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R."[..], "`os.system`"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "`os.system`"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "cannot be called"),
        (b"\x80\x02}i", "instruction 0x69"),
        (b"\x80\x02}\x82\x01.", "instruction 0x82"),
        (b"\x80\x02X\xff\xff\xff\xffab", "ends early"),
        (b"\x80\x02h\x07.", "never said"),
        (b"\x80\x02R.", "not there"),
        (b"\x80\x02u.", "not there"),
        (b"\x80\x02}a", "not there"),
        (b"\x80\x02}Na", "no list"),
        (b"\x80\x02}.", "no tensor"),
        (b"\x80\x02N.", "not hold a state dict"),
        (b"\x80\x02NQ.", "unknown way"),
    ] {
        let found = message(&legacy(pickle));
        assert!(found.contains(expected), "{found} for {:?}", String::from_utf8_lossy(pickle));
    }
}

#[test]
fn what_does_not_fit_is_listed_by_name_all_at_once() {
    let mut found: BTreeMap<String, Layout> = shapes(model::Backbone::Resnet18)
        .into_iter()
        .map(|(name, shape)| {
            let strides = vec![1; shape.len()];
            let (element, count) = (Element::F32, 1 << 30);
            (name, Layout { storage: "0".into(), element, count, offset: 0, shape, strides })
        })
        .collect();
    let expected = shapes(model::Backbone::Resnet18);
    let some = found["bn1.weight"].clone();
    found.insert("fc.weight".into(), some.clone());
    found.insert("layer1.0.bn1.num_batches_tracked".into(), some.clone());
    fits(&found, &expected, model::Backbone::Resnet18).unwrap();

    found.remove("bn1.weight");
    found.remove("layer4.1.conv2.weight");
    found.insert("module.bn1.weight".into(), some);
    found.get_mut("conv1.weight").unwrap().shape = vec![64, 1, 7, 7];
    found.get_mut("bn1.bias").unwrap().element = Element::Whole(8);
    let error = fits(&found, &expected, model::Backbone::Resnet18).unwrap_err().to_string();
    assert_eq!(
        error,
        "the weights do not fit Resnet18; 2 missing: bn1.weight, layer4.1.conv2.weight; 1 unknown: module.bn1.weight; \
         2 of another shape: bn1.bias holds whole numbers, conv1.weight is [64, 1, 7, 7] for [64, 3, 7, 7]"
    );
}

#[test]
fn a_file_with_another_digest_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.pth");
    std::fs::write(&path, ZIPPED).unwrap();
    let whole = sha256(&path).unwrap();
    assert!(matches!(
        load(&path, &whole.as_str()[..8].parse().unwrap(), model::Backbone::Resnet18),
        Err(WeightsError::Fit { .. })
    ));
    let error = load(&path, &"0676ba61".parse().unwrap(), model::Backbone::Resnet50).unwrap_err();
    assert!(error.to_string().ends_with("but must have 0676ba61"), "{error}");
    assert!(matches!(sha256(dir.path()), Err(WeightsError::Io { .. })));
}

/// Opens a file and reads every tensor in it.
fn read_all(bytes: &[u8]) {
    if let Ok(archive) = Archive::open(bytes) {
        for layout in archive.entries.values() {
            let _ = archive.values(layout);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_damaged_file_never_panics(
        which in 0..3usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let entry = r#"{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}"#;
        let mut bytes = [ZIPPED.to_vec(), LEGACY.to_vec(), safetensors(entry, &[0; 16])][which].clone();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        read_all(&bytes);
    }

    #[test]
    fn any_pickle_never_panics(pickle in prop::collection::vec(
        prop_oneof![any::<u8>(), prop::sample::select(&b"\x80.(NGKMJXcqrh)\x85\x86\x87t]}aesuQRb\x8a\x94"[..])], 0..200)
    ) {
        read_all(&legacy(&pickle));
    }
}
