//! Pretrained weights of a sweep: from what its file names to files on this machine.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use sweep_core::ids::Sha256;
use sweep_core::model::{Published, Weights, WeightsRef};
use sweep_core::sweep::{Plan, Sweep};
use sweep_core::trainer::TrainError;
use sweep_train::trainer::WeightsSource;

use crate::exit::WrongInput;

/// `sweep` with the content of the files it names, relative to the folder `base`.
///
/// # Errors
/// [`WrongInput`] for a file that cannot be read.
pub(crate) fn read(sweep: Sweep, base: &Path) -> Result<Sweep> {
    let found = |name: String| {
        let sha256 = sweep_train::weights::sha256(&base.join(&name))
            .map_err(|error| WrongInput::error(format!("weights {name}: {error}")))?;
        Ok(WeightsRef { name, sha256: Some(sha256) })
    };
    let found: Vec<WeightsRef> =
        sweep.weights_to_read().into_iter().map(found).collect::<Result<_>>()?;
    Ok(sweep.with_weights(&found))
}

/// The files behind the weights of `plan`: published ones in `folder`, others relative to `base`.
///
/// # Errors
/// [`WrongInput`] for a published file that is not in `folder`, with where to get it.
pub(crate) fn source(plan: &Plan, folder: &Path, base: &Path) -> Result<WeightsSource> {
    let mut paths: HashMap<Sha256, PathBuf> = HashMap::new();
    for planned in &plan.configurations {
        let model = &planned.configuration.model;
        let Weights::Pretrained(WeightsRef { name, sha256: Some(sha256) }) = &model.weights else {
            continue;
        };
        let path = match Published::find(model.backbone, name) {
            Some(published) => {
                let path = folder.join(published.file);
                if !path.exists() {
                    return Err(WrongInput::error(format!(
                        "weights {name}: {} is not in {}; get it from {}",
                        published.file,
                        folder.display(),
                        published.url()
                    )));
                }
                path
            }
            None => base.join(name),
        };
        paths.insert(sha256.clone(), path);
    }
    Ok(Arc::new(move |of: &WeightsRef| {
        let path = of.sha256.as_ref().and_then(|sha256| paths.get(sha256)).cloned();
        path.ok_or_else(|| TrainError::Input(format!("the weights {} are not at hand", of.name)))
    }))
}
