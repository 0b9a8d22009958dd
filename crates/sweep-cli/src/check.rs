//! `sweep check`: files that parse, with data sets that load. Nothing is fetched: what is not here yet is named.

use anyhow::Result;
use serde_json::json;

use crate::args::CheckArgs;
use crate::exit::{Ended, WrongInput};
use crate::load::Looked;
use crate::{load, out};

pub(crate) fn check(args: &CheckArgs) -> Result<Ended> {
    let mut wrong = Vec::new();
    let mut checked = Vec::new();
    for file in &args.files {
        let shown = file.display().to_string();
        match load::look(file) {
            Ok(Looked { plan: Some(plan), .. }) => {
                let (configurations, runs) = (plan.configurations.len(), plan.runs.len());
                if !args.json {
                    out::text(&format!(
                        "{shown}: ok, {configurations} configurations, {runs} runs\n"
                    ))?;
                    for warning in &plan.warnings {
                        out::text(&format!("  warning: {warning}\n"))?;
                    }
                }
                checked.push(
                    json!({ "file": shown, "ok": true, "runs": runs, "warnings": plan.warnings }),
                );
            }
            Ok(Looked { sweep, lacking, .. }) => {
                if !args.json {
                    let candidates = sweep.candidates().len();
                    out::text(&format!(
                        "{shown}: ok as far as it could be checked, {candidates} configurations per data set; not here yet, and fetched by `sweep plan` and `sweep run`:\n"
                    ))?;
                    for what in &lacking {
                        out::text(&format!("  {what}\n"))?;
                    }
                }
                checked.push(json!({ "file": shown, "ok": true, "runs": null, "warnings": [], "lacking": lacking }));
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
