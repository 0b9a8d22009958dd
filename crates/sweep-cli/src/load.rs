//! From the name of a sweep file to a checked sweep on its data sets.

use std::path::Path;

use anyhow::Result;
use sweep_core::sweep::{Plan, Sweep};
use sweep_data::{DataSet, Fetching, LoadError, Opening};

use crate::exit::WrongInput;
use crate::{progress, weights};

/// A sweep file, checked, with its data sets read and its runs planned.
pub(crate) struct Loaded {
    pub(crate) sweep: Sweep,
    pub(crate) plan: Plan,
    pub(crate) datasets: Vec<DataSet>,
}

/// A sweep file, checked as far as that needs no download.
pub(crate) struct Looked {
    pub(crate) sweep: Sweep,
    /// `None` where something is not here yet.
    pub(crate) plan: Option<Plan>,
    /// What is not here yet, for people.
    pub(crate) lacking: Vec<String>,
}

/// As [`load`], but nothing is fetched.
///
/// # Errors
/// As [`load`].
pub(crate) fn look(file: &Path) -> Result<Looked> {
    let base = base(file);
    let sweep = parse(file)?;
    let mut lacking: Vec<String> =
        weights::to_fetch(&sweep, base).map(|name| format!("weights {name}")).collect();
    // Files of weights that are here are read, and refused, with the others.
    let sweep = if lacking.is_empty() { weights::read(sweep, base)? } else { sweep };
    let mut infos = Vec::new();
    for reference in sweep.datasets() {
        let opening = Opening { offline: true, ..Opening::default() };
        match DataSet::load_with(reference, base, &opening) {
            Ok(set) => infos.push(set.info().clone()),
            Err(LoadError::NotFetched { url, bytes }) => {
                let size = bytes
                    .map_or("of a size that its manifest does not say".to_owned(), |b| {
                        format!("{:.1} MB", b as f64 / 1e6)
                    });
                lacking.push(format!("data set {reference}, {size}, from {url}"));
            }
            Err(error) => return Err(refused(error)),
        }
    }
    let plan = match lacking.is_empty() {
        true => Some(sweep.plan(&infos).map_err(WrongInput::error)?),
        false => None,
    };
    Ok(Looked { sweep, plan, lacking })
}

fn refused(error: LoadError) -> anyhow::Error {
    if error.is_input() { WrongInput::error(error) } else { error.into() }
}

/// Reads and checks `file` and the data sets it names.
///
/// # Errors
/// [`WrongInput`] with the complete text for people.
pub(crate) fn load(file: &Path) -> Result<Loaded> {
    let base = base(file);
    let sweep = weights::read(parse(file)?, base)?;
    let datasets: Vec<_> =
        sweep.datasets().iter().map(|reference| dataset(reference, base)).collect::<Result<_>>()?;
    let infos: Vec<_> = datasets.iter().map(|set| set.info().clone()).collect();
    let plan = sweep.plan(&infos).map_err(WrongInput::error)?;
    Ok(Loaded { sweep, plan, datasets })
}

/// The folder that paths in `file` are relative to.
pub(crate) fn base(file: &Path) -> &Path {
    file.parent().unwrap_or_else(|| Path::new(""))
}

/// Reads and checks `file` alone.
pub(crate) fn parse(file: &Path) -> Result<Sweep> {
    Sweep::parse(&text(file)?, &file.display().to_string()).map_err(WrongInput::error)
}

/// The text of a file that a person wrote.
pub(crate) fn text(file: &Path) -> Result<String> {
    let shown = file.display();
    let bytes = std::fs::read(file)
        .map_err(|error| WrongInput::error(format!("cannot read {shown}: {error}")))?;
    String::from_utf8(bytes).map_err(|_| WrongInput::error(format!("{shown} is not UTF-8 text")))
}

/// Reads a data set as a sweep file or a command names it; what must be downloaded first shows how far it is.
pub(crate) fn dataset(reference: &str, base: &Path) -> Result<DataSet> {
    let bar = progress::Bytes::new();
    let report = |fetching: Fetching<'_>| bar.report(&fetching);
    let opening = Opening { progress: &report, ..Opening::default() };
    let set = DataSet::load_with(reference, base, &opening);
    bar.finish();
    set.map_err(refused)
}
