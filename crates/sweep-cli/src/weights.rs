//! Pretrained weights of a sweep: from what its file names to files on this machine. Downloads lie in the user's cache, in `weights`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use sweep_core::ids::{Digest, Sha256};
use sweep_core::model::{Published, Weights, WeightsRef};
use sweep_core::sweep::{Plan, Sweep};
use sweep_core::trainer::TrainError;
use sweep_data::Sha256OrPrefix;
use sweep_train::trainer::WeightsSource;

use crate::exit::WrongInput;
use crate::progress;

/// Largest file fetched: ten ResNet-50s.
const LIMIT: u64 = 1 << 30;

/// `sweep` with the content of the files it names, relative to the folder `base`; those at an address are fetched once.
///
/// # Errors
/// [`WrongInput`] for a file that cannot be read; a download that failed.
pub(crate) fn read(sweep: Sweep, base: &Path) -> Result<Sweep> {
    let found = |name: String| {
        let path = path_of(&name, base);
        if is_address(&name) && !path.exists() {
            fetch(&name, None, &path).with_context(|| format!("weights {name}"))?;
        }
        let sha256 = sweep_train::weights::sha256(&path)
            .map_err(|error| WrongInput::error(format!("weights {name}: {error}")))?;
        Ok(WeightsRef { name, sha256: Some(sha256) })
    };
    let found: Vec<WeightsRef> =
        sweep.weights_to_read().into_iter().map(found).collect::<Result<_>>()?;
    Ok(sweep.with_weights(&found))
}

/// The weights of `sweep` that [`read`] would fetch.
pub(crate) fn to_fetch(sweep: &Sweep, base: &Path) -> impl Iterator<Item = String> {
    let names = sweep.weights_to_read().into_iter();
    names.filter(move |name| is_address(name) && !path_of(name, base).exists())
}

/// The files behind the weights of `plan`; published ones are fetched once, and verified by the digits in their names.
///
/// # Errors
/// A download that failed.
pub(crate) fn source(plan: &Plan, base: &Path) -> Result<WeightsSource> {
    let paths = files(plan, base)?;
    Ok(Arc::new(move |of: &WeightsRef| {
        let path = of.sha256.as_ref().and_then(|sha256| paths.get(sha256)).cloned();
        path.ok_or_else(|| TrainError::Input(format!("the weights {} are not at hand", of.name)))
    }))
}

/// As [`source`], as paths.
pub(crate) fn files(plan: &Plan, base: &Path) -> Result<BTreeMap<Sha256, PathBuf>> {
    let mut paths: BTreeMap<Sha256, PathBuf> = BTreeMap::new();
    for planned in &plan.configurations {
        let model = &planned.configuration.model;
        let Weights::Pretrained(WeightsRef { name, sha256: Some(sha256) }) = &model.weights else {
            continue;
        };
        if paths.contains_key(sha256) {
            continue;
        }
        let path = match Published::find(model.backbone, name) {
            Some(published) => {
                let path = folder().join(published.file);
                fetch(&published.url(), Some(sha256), &path).with_context(|| {
                    format!(
                        "weights {name}: {} cannot be fetched (you may put it at {} yourself)",
                        published.file,
                        path.display()
                    )
                })?;
                path
            }
            None => path_of(name, base),
        };
        paths.insert(sha256.clone(), path);
    }
    Ok(paths)
}

fn folder() -> PathBuf {
    sweep_data::cache::place().join("weights")
}

fn is_address(name: &str) -> bool {
    name.starts_with("https://") || name.starts_with("http://")
}

/// Where the file called `name` lies, or will lie when it has been fetched.
fn path_of(name: &str, base: &Path) -> PathBuf {
    if !is_address(name) {
        return base.join(name);
    }
    // Two addresses may end in the same name.
    let address = Digest::of(name.as_bytes()).to_string();
    let kind = if name.ends_with(".safetensors") { "safetensors" } else { "pth" };
    folder().join(format!("{address}.{kind}"))
}

fn fetch(url: &str, expected: Option<&Sha256>, into: &Path) -> Result<()> {
    let expected: Option<Sha256OrPrefix> =
        expected.map(|sha256| sha256.as_str().parse()).transpose()?;
    let bar = progress::Bytes::new();
    let fetched = sweep_data::fetch::file(url, expected.as_ref(), into, LIMIT, &|f| bar.report(&f));
    bar.finish();
    match fetched {
        Ok(_) => Ok(()),
        Err(error) if error.is_input() => Err(WrongInput::error(error)),
        Err(error) => Err(error.into()),
    }
}
