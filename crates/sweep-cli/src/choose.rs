//! `sweep choose`: the results of a sweep over learning rates → the sweep file that judges.

use std::path::Path;

use anyhow::{Context, Result};
use sweep_core::choice;
use sweep_store::Reads;

use crate::args::{ChooseArgs, Global};
use crate::exit::{Ended, WrongInput};
use crate::source::{Source, find};
use crate::{load, out, stored};

pub(crate) fn choose(args: &ChooseArgs, global: &Global) -> Result<Ended> {
    if let Some(output) = &args.output {
        beside(output, &args.file)?;
    }
    let (document, records) = stored::block_on(async {
        let source = Source::to_read(global)?;
        let status = find(&source, Some(&args.file.display().to_string())).await?;
        let found = source.sweep(&status.id).await?;
        let (_, document) = found.context("the sweep went away")?;
        Ok((document, source.results(&status.id).await?))
    })?;
    let (sweep, plan) = document.open().context("the stored sweep file cannot be read")?;
    let choices = choice::learning_rates(&sweep, &plan, &records).map_err(WrongInput::error)?;
    let text = sweep.judging(&choices, args.seeds).map_err(WrongInput::error)?;
    let Some(output) = &args.output else {
        out::text(&text)?;
        return Ok(Ended::Done);
    };
    write(output, &text)?;
    out::text(&choice::summary(&choices))?;
    out::text(&format!("written: {}\n", output.display()))?;
    Ok(Ended::Done)
}

/// Data sets and weights are named relative to the folder of the sweep file.
fn beside(output: &Path, file: &Path) -> Result<()> {
    let folder = |path: &Path| {
        let base = load::base(path);
        if base.as_os_str().is_empty() { Path::new(".") } else { base }.canonicalize()
    };
    match (folder(output), folder(file)) {
        (Ok(output), Ok(file)) if output == file => Ok(()),
        _ => Err(WrongInput::error(format!(
            "{} lies in another folder than {}, so that its data sets would not be found",
            output.display(),
            file.display()
        ))),
    }
}

/// A file that a person may have changed is not overwritten.
fn write(output: &Path, text: &str) -> Result<()> {
    match std::fs::read(output) {
        Ok(there) if there == text.as_bytes() => Ok(()),
        Ok(_) => Err(WrongInput::error(format!(
            "{} is there already with another text; remove it, or name another file",
            output.display()
        ))),
        Err(_) => std::fs::write(output, text)
            .with_context(|| format!("cannot write {}", output.display())),
    }
}
