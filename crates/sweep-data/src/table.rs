//! The packed layout: one CSV (gzip or plain) of square pictures as numbers, the label last. Digits comes this way.

use std::io::Read as _;

use crate::error::LoadError;
use crate::manifest::{Manifest, Problem, Table};
use crate::suggest::hint;

/// Most bytes a table may unpack to; digits has 0.26 MB. A bound against gzip bombs.
const MAX_UNPACKED_BYTES: u64 = 1 << 30;

/// Pictures of a table, in the order of its lines.
#[derive(Debug)]
pub(crate) struct Rows {
    /// side² · channels bytes per picture.
    pub(crate) pixels: Vec<u8>,
    pub(crate) labels: Vec<u32>,
    pub(crate) picture_len: usize,
}

impl Rows {
    /// The bytes of picture `row`.
    pub(crate) fn picture(&self, row: usize) -> &[u8] {
        &self.pixels[row * self.picture_len..(row + 1) * self.picture_len]
    }
}

/// Reads a table's `bytes`; every value and label is checked.
pub(crate) fn rows(
    manifest: &Manifest,
    table: &Table,
    classes: &[String],
    bytes: &[u8],
) -> Result<Rows, LoadError> {
    let wrong = |line: u64, reason: String| {
        LoadError::from(manifest.error(
            manifest.spots.layout,
            Problem::Table { file: table.file.clone(), line, reason },
        ))
    };
    let text = unpacked(bytes).map_err(|reason| wrong(1, reason))?;
    let picture_len = (table.side * table.side) as usize * usize::from(table.channels);
    let mut rows = Rows { pixels: Vec::new(), labels: Vec::new(), picture_len };
    for (line, record) in (1_u64..).zip(text.lines()) {
        let mut values = 0;
        let mut label = None;
        for cell in record.split(',').map(str::trim) {
            if values == picture_len {
                if label.replace(cell).is_some() {
                    return Err(wrong(line, format!("more than {picture_len} values and a label")));
                }
                continue;
            }
            let value = cell.parse::<u8>().ok().filter(|v| *v <= table.maximum);
            let value = value.ok_or_else(|| {
                wrong(line, format!("`{cell}` is not an integer in 0..={}", table.maximum))
            })?;
            rows.pixels.push(value);
            values += 1;
        }
        let label = label.ok_or_else(|| {
            wrong(line, format!("{values} values, but {picture_len} and a label are needed"))
        })?;
        let at = classes.iter().position(|class| class.eq_ignore_ascii_case(label)).ok_or_else(
            || {
                let hint = hint(label, classes.iter().map(String::as_str));
                wrong(
                    line,
                    format!("label `{label}` is no class (classes: {}){hint}", classes.join(", ")),
                )
            },
        )?;
        rows.labels.push(at as u32);
    }
    Ok(rows)
}

fn unpacked(bytes: &[u8]) -> Result<String, String> {
    let mut text = String::new();
    let read = if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::GzDecoder::new(bytes).take(MAX_UNPACKED_BYTES + 1).read_to_string(&mut text)
    } else {
        bytes.take(MAX_UNPACKED_BYTES + 1).read_to_string(&mut text)
    };
    read.map_err(|error| format!("cannot be unpacked as UTF-8 text: {error}"))?;
    if text.len() as u64 > MAX_UNPACKED_BYTES {
        return Err(format!("unpacks to more than {MAX_UNPACKED_BYTES} bytes"));
    }
    Ok(text)
}
