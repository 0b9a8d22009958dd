//! `sweep check`: files that parse, with data sets that load.

use anyhow::Result;
use serde_json::json;

use crate::args::CheckArgs;
use crate::exit::{Ended, WrongInput};
use crate::{load, out};

pub(crate) fn check(args: &CheckArgs) -> Result<Ended> {
    let mut wrong = Vec::new();
    let mut checked = Vec::new();
    for file in &args.files {
        let shown = file.display().to_string();
        match load::load(file) {
            Ok(loaded) => {
                if !args.json {
                    let runs = loaded.plan.runs.len();
                    out::text(&format!(
                        "{shown}: ok, {} configurations, {runs} runs\n",
                        loaded.plan.configurations.len()
                    ))?;
                    for warning in &loaded.plan.warnings {
                        out::text(&format!("  warning: {warning}\n"))?;
                    }
                }
                checked.push(json!({ "file": shown, "ok": true, "runs": loaded.plan.runs.len(), "warnings": loaded.plan.warnings }));
            }
            Err(error) => {
                checked.push(json!({ "file": shown, "ok": false, "error": format!("{error:#}") }));
                wrong.push(error);
            }
        }
    }
    if args.json {
        out::json(&checked)?;
    }
    match wrong.len() {
        0 => Ok(Ended::Done),
        1 => Err(wrong.remove(0)),
        _ => Err(WrongInput::error(
            wrong.iter().map(|error| format!("{error:#}")).collect::<Vec<_>>().join("\n"),
        )),
    }
}
