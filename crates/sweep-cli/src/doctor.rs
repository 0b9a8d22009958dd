//! `sweep doctor`: what is wrong and how to mend it.

use anyhow::Result;
use serde::Serialize;
use sweep_store::{AnyStore, Reads, Store, StoreError};
use sweep_train::device::Device;

use crate::args::{DoctorArgs, Global};
use crate::exit::{Ended, WrongInput};
use crate::home::Home;
use crate::{load, out, source, stored};

/// Free disk below which a warning is due: a ResNet-50 checkpoint is 300 MB, a packed data set up to half a GB.
const DISK_LOW_BYTES: u64 = 2_000_000_000;

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    ok: bool,
    text: String,
}

pub(crate) fn doctor(args: &DoctorArgs, global: &Global) -> Result<Ended> {
    let mut findings = vec![store(global), disk(global), device()];
    if let Some(file) = &args.file {
        findings.push(match load::load(file) {
            Ok(loaded) => {
                let sets: Vec<_> =
                    loaded.datasets.iter().map(|set| set.info().name.clone()).collect();
                found(
                    "sweep file",
                    true,
                    format!(
                        "{} plans {} runs on {}",
                        file.display(),
                        loaded.plan.runs.len(),
                        sets.join(", ")
                    ),
                )
            }
            Err(error) => found("sweep file", false, format!("{error:#}")),
        });
    }
    let healthy = findings.iter().all(|finding| finding.ok);
    if args.json {
        out::json(&findings)?;
    } else {
        for finding in &findings {
            out::text(&format!(
                "{:<5} {:<11} {}\n",
                if finding.ok { "ok" } else { "WRONG" },
                finding.what,
                finding.text
            ))?;
        }
    }
    if healthy { Ok(Ended::Done) } else { Err(WrongInput::error("not everything is well (above)")) }
}

fn found(what: &'static str, ok: bool, text: String) -> Finding {
    Finding { what, ok, text }
}

fn store(global: &Global) -> Finding {
    let url = match source::store_url(global) {
        Ok(url) => url,
        Err(error) => return found("store", false, format!("{error:#}")),
    };
    let store = match AnyStore::open_to_read(&url) {
        Ok(store) => store,
        Err(StoreError::Missing { path }) => {
            let text = format!("none yet at {}; `sweep run FILE` makes it", path.display());
            return found("store", true, text);
        }
        Err(error) => return found("store", false, error.to_string()),
    };
    // Its own text hides what may be a password in the URL.
    let name = store.to_string();
    let read = stored::block_on(async {
        let warnings = store.durability().await?;
        Ok((store.sweeps().await?, store.violations().await?, warnings))
    });
    match read {
        Ok((sweeps, violations, warnings)) => {
            let mut text = vec![format!("{name}: {} sweeps", sweeps.len())];
            text.extend(violations.iter().cloned());
            text.extend(warnings.iter().map(ToString::to_string));
            let ok = violations.is_empty() && !warnings.iter().any(|warning| warning.refuse);
            found("store", ok, text.join("; "))
        }
        Err(error) => found("store", false, format!("{name}: {error:#}")),
    }
}

fn disk(global: &Global) -> Finding {
    let home = Home::new(global);
    let existing = home
        .path()
        .ancestors()
        .find(|dir| dir.exists())
        .unwrap_or_else(|| std::path::Path::new("."));
    let existing =
        if existing.as_os_str().is_empty() { std::path::Path::new(".") } else { existing };
    match fs4::available_space(existing) {
        Ok(free) if free < DISK_LOW_BYTES => found(
            "disk",
            false,
            format!(
                "only {:.1} GB free for {}: remove {} or choose another --dir",
                free as f64 / 1e9,
                home.path().display(),
                home.cache().display()
            ),
        ),
        Ok(free) => found(
            "disk",
            true,
            format!("{:.1} GB free for {}", free as f64 / 1e9, home.path().display()),
        ),
        Err(error) => {
            found("disk", false, format!("cannot look at {}: {error}", existing.display()))
        }
    }
}

fn device() -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cuda = match Device::Cuda(0).resolved() {
        Ok(device) => format!("{device} can be used"),
        Err(why) => format!("no CUDA: {why}"),
    };
    found("device", true, format!("cpu with {cores} cores; {cuda}"))
}
