//! The files that workers need of a sweep: packed data sets and weights; built-in data sets every worker has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sweep_core::ids::Digest;
use sweep_core::sweep::{Input, InputFile};
use sweep_store::blobs::Blobs;

use crate::exit::WrongInput;
use crate::home::Home;
use crate::load::Loaded;
use crate::{load, progress, weights};

/// A file and where it lies here.
pub(crate) struct Prepared {
    pub(crate) file: InputFile,
    pub(crate) path: PathBuf,
    /// For people.
    pub(crate) name: String,
}

/// Packs every data set of the sweep that is not built in, at every size it is asked for.
pub(crate) fn prepare(loaded: &Loaded, home: &Home) -> Result<Vec<Prepared>> {
    let mut found: BTreeMap<(Digest, Digest, u32), Prepared> = BTreeMap::new();
    for planned in &loaded.plan.configurations {
        let set = &loaded.datasets[planned.dataset];
        let image_size = planned.configuration.training.image_size;
        let of = &planned.configuration.dataset;
        let key = (of.content, of.split, image_size);
        if set.attribution().is_some() || found.contains_key(&key) {
            continue;
        }
        let bar = progress::Files::new("packing");
        let packed = set.pack(image_size, &home.cache(), &|p| bar.report(&p));
        bar.finish();
        let packed = packed.map_err(WrongInput::error)?;
        let path = packed.path().to_owned();
        let bytes = std::fs::metadata(&path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .len();
        let input = Input::Pack { content: of.content, split: of.split, image_size };
        let file = InputFile { input, digest: packed.digest(), bytes };
        let name = format!("{} at {image_size} pixels", set.info().name);
        found.insert(key, Prepared { file, path, name });
    }
    let mut prepared: Vec<Prepared> = found.into_values().collect();
    for (sha256, path) in weights::files(&loaded.plan, load::base(Path::new(loaded.sweep.file())))?
    {
        let (digest, bytes) =
            digest(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = format!("weights {}", path.display());
        let file = InputFile { input: Input::Weights { sha256 }, digest, bytes };
        prepared.push(Prepared { file, path, name });
    }
    Ok(prepared)
}

fn digest(path: &Path) -> std::io::Result<(Digest, u64)> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path)?)?;
    Ok((Digest(*hasher.finalize().as_bytes()), hasher.count()))
}

/// Sends the files that `only` names, all without it, and that are not there yet; the bytes sent.
pub(crate) async fn upload(
    blobs: &Blobs,
    prepared: &[Prepared],
    only: Option<&[Digest]>,
) -> Result<u64> {
    let mut sent = 0;
    for input in prepared {
        if only.is_some_and(|only| !only.contains(&input.file.digest)) {
            continue;
        }
        let there = blobs.head(&input.file.digest).await.context("cannot ask for a data set")?;
        if there.is_some() {
            continue;
        }
        eprintln!("sending {} ({:.1} MB)", input.name, input.file.bytes as f64 / 1e6);
        let (digest, _) = blobs
            .put_file(&input.path)
            .await
            .with_context(|| format!("cannot send {}", input.name))?;
        anyhow::ensure!(
            digest == input.file.digest,
            "{} changed while it was sent",
            input.path.display()
        );
        sent += input.file.bytes;
    }
    Ok(sent)
}
