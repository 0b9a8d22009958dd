//! `sweep losses`.

use anyhow::Result;
use serde_json::json;
use sweep_core::catalogue::{self, LossEntry};

use crate::args::LossesArgs;
use crate::exit::{Ended, WrongInput};

pub(crate) fn losses(args: &LossesArgs) -> Result<Ended> {
    let entries: Vec<&LossEntry> = match &args.name {
        None => catalogue::losses().iter().collect(),
        Some(name) => vec![catalogue::loss(name).ok_or_else(|| unknown(name))?],
    };
    if args.json {
        crate::out::json(&entries.iter().map(|entry| describe(entry)).collect::<Vec<_>>())?;
    } else {
        for entry in entries {
            crate::out::text(&text(entry))?;
        }
    }
    Ok(Ended::Done)
}

fn unknown(name: &str) -> anyhow::Error {
    let known: Vec<_> = catalogue::losses().iter().map(|entry| entry.name).collect();
    WrongInput::error(format!("unknown loss `{name}` (known: {})", known.join(", ")))
}

fn text(entry: &LossEntry) -> String {
    let mut text = format!("{}\n    {}\n    {}\n", entry.name, entry.formula, entry.paper);
    for parameter in entry.parameters {
        let default = parameter
            .default_text()
            .map_or_else(|| "no default".to_owned(), |default| format!("default {default}"));
        text.push_str(&format!(
            "    {:<22} {}; {default}: {}\n",
            parameter.name,
            parameter.allowed(),
            parameter.meaning
        ));
    }
    text.push('\n');
    text
}

fn describe(entry: &LossEntry) -> serde_json::Value {
    let parameters: Vec<_> = entry
        .parameters
        .iter()
        .map(|p| json!({ "name": p.name, "allowed": p.allowed(), "default": p.default_text(), "meaning": p.meaning }))
        .collect();
    json!({ "name": entry.name, "formula": entry.formula, "paper": entry.paper, "hyperparameters": parameters })
}
