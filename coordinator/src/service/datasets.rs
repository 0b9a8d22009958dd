//! The data sets that a sweep file names, where it comes alone: built in, from manifests, or as a stored sweep describes them.
//! And the bounds of what a client says about data sets.

use std::path::{Component, Path};
use std::sync::LazyLock;

use sweep_core::dataset::DataSetInfo;
use sweep_core::ids::Digest;
use sweep_core::sweep::{Document, Input, InputFile};
use sweep_data::DataSet;
use sweep_store::Reads;

use super::app::App;
use super::problem::{Kind, Problem, cut};

/// Stored sweeps that are searched, newest first.
const SEARCHED: usize = 200;
/// Classes of a data set at most.
const CLASSES: usize = 100_000;
/// Images of a part at most.
const IMAGES: u64 = 1 << 31;
/// Characters of a name, a title, a warning.
const TEXT: usize = 4096;
/// Side of a picture at most, pixels.
const SIDE: u32 = 4096;

/// What is known of the data sets of a sweep.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// In the order of the file.
    pub(crate) infos: Vec<DataSetInfo>,
    /// Files that came with them.
    pub(crate) inputs: Vec<InputFile>,
}

/// Describes these data sets, in their order.
pub(crate) async fn resolve(app: &App, names: &[String]) -> Result<Known, Problem> {
    let mut known = Known::default();
    for name in names {
        if let Some(info) = here(app, name).await? {
            known.infos.push(info);
        } else {
            let (info, inputs) = stored(app, name).await?.ok_or_else(|| unknown(name))?;
            known.infos.push(info);
            known.inputs.extend(
                inputs
                    .into_iter()
                    .filter(|input| !known.inputs.contains(input))
                    .collect::<Vec<_>>(),
            );
        }
    }
    Ok(known)
}

fn unknown(name: &str) -> Problem {
    let text = format!(
        "unknown data set `{}`: it is not built in, the coordinator has no manifest of it, and no stored sweep names it (`sweep submit` sends it along)",
        cut(name)
    );
    Problem::new(Kind::SweepFile, text).with("errors", serde_json::json!([]))
}

/// Built in, or by a manifest of the coordinator's own folder.
async fn here(app: &App, name: &str) -> Result<Option<DataSetInfo>, Problem> {
    let (name, folder) = (name.to_owned(), app.datasets.clone());
    let loaded = app.heavy(move || {
        DataSet::builtin(&name).or_else(|| {
            manifest(&name, folder.as_deref()?).map(|path| DataSet::from_manifest(&path, None))
        })
    });
    match loaded.await? {
        None => Ok(None),
        Some(Ok(set)) => Ok(Some(set.info().clone())),
        Some(Err(error)) => {
            Err(Problem::new(Kind::SweepFile, error.to_string())
                .with("errors", serde_json::json!([])))
        }
    }
}

/// The manifest that a sweep file means, if it lies below `folder`: `NAME` is `NAME.yaml` there or in its `datasets`, a path ends
/// in `.yaml` and leads nowhere else.
fn manifest(name: &str, folder: &Path) -> Option<std::path::PathBuf> {
    let plain = Path::new(name)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !plain {
        return None;
    }
    let folder = folder.canonicalize().ok()?;
    let is_path = name.ends_with(".yaml") || name.ends_with(".yml");
    let candidates = if is_path {
        vec![folder.join(name)]
    } else {
        vec![
            folder.join(format!("{name}.yaml")),
            folder.join("datasets").join(format!("{name}.yaml")),
        ]
    };
    // Links are followed first, so that none leads out.
    let mut found = candidates.into_iter().filter_map(|path| path.canonicalize().ok());
    found.find(|path| path.is_file() && path.starts_with(&folder))
}

/// As the newest stored sweep describes it.
async fn stored(app: &App, name: &str) -> Result<Option<(DataSetInfo, Vec<InputFile>)>, Problem> {
    for sweep in app.store.sweeps().await?.into_iter().take(SEARCHED) {
        let Some((_, document)) = app.store.sweep(&sweep.id).await? else { continue };
        let Document { datasets, inputs, .. } = document;
        if let Some(info) = datasets.into_iter().find(|info| info.name == name) {
            let belongs = |file: &InputFile| match &file.input {
                Input::Pack { content, split, .. } => {
                    (content, split) == (&info.content, &info.split)
                }
                // Weights belong to no data set: whoever needs them finds them by their content.
                Input::Weights { .. } => true,
            };
            let inputs = inputs.into_iter().filter(belongs).collect();
            return Ok(Some((info, inputs)));
        }
    }
    Ok(None)
}

/// Refuses a description that no data set has: a plan computes with these numbers.
pub(crate) fn check(infos: &[DataSetInfo]) -> Result<(), Problem> {
    for info in infos {
        let images = |part: &[u32]| part.iter().map(|n| u64::from(*n)).sum::<u64>();
        let wrong = if info.name.is_empty() || info.name.len() > TEXT {
            "its name is empty or too long"
        } else if info.title.len() > TEXT
            || info.warnings.iter().any(|text| text.len() > TEXT)
            || info.warnings.len() > TEXT
        {
            "its texts are too long"
        } else if info.classes.len() > CLASSES
            || info.classes.iter().any(|class| class.len() > TEXT)
        {
            "it has too many classes, or one with too long a name"
        } else if images(&info.train) > IMAGES || images(&info.val) > IMAGES {
            "it has too many images"
        } else if !matches!(info.channels, 1 | 3) {
            "its pictures must have 1 or 3 channels"
        } else if info.fixed_size.is_some_and(|side| !(1..=SIDE).contains(&side)) {
            "the side of its pictures is out of range"
        } else {
            continue;
        };
        let text = format!("data set `{}`: {wrong}", cut(&info.name));
        return Err(Problem::new(Kind::Value, text));
    }
    Ok(())
}

/// Whether workers have this data set without fetching anything.
pub(crate) fn is_built_in(info: &DataSetInfo) -> bool {
    static KNOWN: LazyLock<Vec<(Digest, Digest)>> = LazyLock::new(|| {
        let sets = sweep_data::BUILT_IN.iter().filter_map(|name| DataSet::builtin(name)?.ok());
        sets.map(|set| (set.info().content, set.info().split)).collect()
    });
    KNOWN.contains(&(info.content, info.split))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_manifest_is_found_outside_the_folder() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("sets");
        std::fs::create_dir_all(folder.join("datasets")).unwrap();
        for file in ["secret.yaml", "sets/own.yaml", "sets/datasets/deep.yaml"] {
            std::fs::write(outside.path().join(file), "x").unwrap();
        }
        for name in ["own", "own.yaml", "./own.yaml", "deep", "datasets/deep.yaml"] {
            assert!(manifest(name, &folder).is_some(), "{name}");
        }
        let absolute = outside.path().join("secret.yaml").display().to_string();
        for name in
            ["../secret.yaml", "datasets/../../secret.yaml", &absolute, "secret", "none", ".."]
        {
            assert!(manifest(name, &folder).is_none(), "{name}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(
                outside.path().join("secret.yaml"),
                folder.join("link.yaml"),
            )
            .unwrap();
            assert!(manifest("link", &folder).is_none());
        }
    }
}
