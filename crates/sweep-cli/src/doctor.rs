//! `sweep doctor`: what is wrong and how to mend it.

use anyhow::Result;
use serde::Serialize;
use sweep_store::{Store, StoreError};
use sweep_train::device::Device;

use crate::args::{DoctorArgs, Global};
use crate::exit::{Ended, WrongInput};
use crate::home::Home;
use crate::{load, out, stored};

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
    use sweep_store::AnyStore;
    let store = match AnyStore::open_to_read(&global.store) {
        Ok(store) => store,
        Err(StoreError::Missing { .. }) => {
            return found(
                "store",
                true,
                format!("{}: none yet; `sweep run FILE` makes it", global.store),
            );
        }
        Err(error) => return found("store", false, format!("{}: {error}", global.store)),
    };
    let read = stored::block_on(async { Ok((store.sweeps().await?, store.violations().await?)) });
    match read {
        Ok((sweeps, violations)) if violations.is_empty() => {
            found("store", true, format!("{}: {} sweeps, sound", global.store, sweeps.len()))
        }
        Ok((_, violations)) => {
            found("store", false, format!("{}: {}", global.store, violations.join("; ")))
        }
        Err(error) => found("store", false, format!("{}: {error:#}", global.store)),
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
