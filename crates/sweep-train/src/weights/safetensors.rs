//! The safetensors format: length of a JSON header (8 bytes), the header, the data. Source: huggingface's safetensors, README.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Archive, Element, Layout, Storages, WeightsError, wrong};

/// The format's own limit is 100 MB; the header of a ResNet-50 takes 30 kB.
const MAX_HEADER: usize = 4 << 20;

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// Opens a file of this format.
pub(super) fn open(bytes: &[u8]) -> Result<Archive<'_>, WeightsError> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return wrong("it is empty") };
    let header = usize::try_from(u64::from_le_bytes(*length))
        .ok()
        .filter(|length| *length <= MAX_HEADER)
        .and_then(|length| rest.split_at_checked(length));
    let Some((header, data)) = header else { return wrong("its header ends early") };
    let header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header)
        .map_err(|error| WeightsError::Format(format!("its header: {error}")))?;
    let mut entries = BTreeMap::new();
    let mut slices = BTreeMap::new();
    for (name, value) in header {
        if name == "__metadata__" {
            continue;
        }
        let entry: Entry = serde_json::from_value(value).map_err(|error| {
            WeightsError::Format(format!("its header, tensor `{name}`: {error}"))
        })?;
        let element = match entry.dtype.as_str() {
            "F32" => Element::F32,
            "F64" => Element::F64,
            "F16" => Element::F16,
            "BF16" => Element::BF16,
            "I64" | "U64" => Element::Whole(8),
            "I32" | "U32" => Element::Whole(4),
            "I16" | "U16" => Element::Whole(2),
            "I8" | "U8" | "BOOL" => Element::Whole(1),
            other => return wrong(format!("tensor `{name}` is of type {other:?}")),
        };
        let [start, end] = entry.data_offsets;
        let Some(slice) = data.get(start..end) else {
            return wrong(format!("tensor `{name}` lies outside the data of the file"));
        };
        let mut strides = vec![1usize; entry.shape.len()];
        for axis in (1..entry.shape.len()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(entry.shape[axis]);
        }
        let count = slice.len() / element.size();
        let layout = Layout {
            storage: name.clone(),
            element,
            count,
            offset: 0,
            shape: entry.shape,
            strides,
        };
        slices.insert(name.clone(), slice);
        entries.insert(name, layout);
    }
    Ok(Archive { entries, storages: Storages::Slices(slices) })
}
