//! `sweep data check` and `sweep data pack`.

use std::path::Path;

use anyhow::{Context, Result};

use crate::args::{DataArgs, DataCommand, Global, PackArgs};
use crate::exit::{Ended, WrongInput};
use crate::home::Home;
use crate::{load, out, progress};

pub(crate) fn data(command: &DataCommand, global: &Global) -> Result<Ended> {
    match command {
        DataCommand::Check(args) => check(args),
        DataCommand::Pack(args) => pack(args, global),
    }
}

fn check(args: &DataArgs) -> Result<Ended> {
    let set = load::dataset(&args.dataset, Path::new(""))?;
    let bar = progress::Files::new("reading");
    let audit = sweep_data::audit(&set, &|p| bar.report(&p));
    bar.finish();
    if args.json {
        out::json(&audit)?;
    } else {
        out::text(&audit.text())?;
        if let Some(attribution) = set.attribution() {
            out::text(&format!("\n{attribution}\n"))?;
        }
    }
    if audit.has_errors() {
        return Err(WrongInput::error(format!(
            "data set {}: the audit found errors (above)",
            set.info().name
        )));
    }
    Ok(Ended::Done)
}

fn pack(args: &PackArgs, global: &Global) -> Result<Ended> {
    let set = load::dataset(&args.dataset, Path::new(""))?;
    let home = Home::new(global);
    let bar = progress::Files::new("packing");
    let packed = set.pack(args.image_size, &home.cache(), &|p| bar.report(&p));
    bar.finish();
    let packed = packed.context("cannot pack the data set")?;
    let bytes = std::fs::metadata(packed.path()).map_or(0, |m| m.len());
    out::text(&format!(
        "{} images, {:.1} MB: {}\n",
        packed.len(),
        bytes as f64 / 1e6,
        packed.path().display()
    ))?;
    Ok(Ended::Done)
}
