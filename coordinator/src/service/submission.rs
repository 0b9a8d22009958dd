//! `POST /sweeps`: a sweep file, alone or with what its client knows, → the store. The same again changes nothing.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use sweep_core::dataset::DataSetInfo;
use sweep_core::ids::{Digest, SweepId};
use sweep_core::sweep::{Input, InputFile, Plan, Sweep};
use sweep_store::{Command, Now, Reads, Store, SweepStatus};

use super::app::App;
use super::datasets::{self, Known};
use super::extract::{self, Asked, MediaType};
use super::problem::{Kind, Problem};
use super::{schema, sweeps};
use crate::submit::{Terms, submit_on};

/// Name of a file that came alone, for messages.
const UNNAMED: &str = "sweep.yaml";
/// Characters of a file's name.
const FILE_MAX: usize = 1024;
/// Files of a sweep at most.
const INPUTS_MAX: usize = 10_000;

/// The sweep's place in line.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TermsQuery {
    weight: Option<f64>,
    band: Option<u8>,
    cap: Option<u32>,
}

/// What `sweep submit` sends: a stored sweep's document, of which the coordinator computes the rest itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    file: String,
    text: String,
    datasets: Vec<DataSetInfo>,
    #[serde(default)]
    inputs: Vec<InputFile>,
    #[serde(default, rename = "analysis")]
    _analysis: IgnoredAny,
    #[serde(default, rename = "rounds")]
    _rounds: IgnoredAny,
}

/// What became of a submission.
#[derive(Serialize)]
pub(crate) struct Receipt {
    id: SweepId,
    name: String,
    runs: RunCounts,
    warnings: Vec<String>,
}

/// Runs of a submission by what was known of them.
#[derive(Serialize)]
struct RunCounts {
    total: u32,
    new: u32,
    known: u32,
    joined: u32,
    requeued: u32,
}

/// Submit a sweep; the same again changes nothing
///
/// Either the file alone (`application/yaml`), whose data sets are then built in, known by a manifest of the coordinator, or taken
/// as the newest stored sweep describes them; or a document with the file, its data sets and the blobs that workers need
/// (`application/json`). Blobs must have been stored before: `missing-inputs` lists those that were not.
#[utoipa::path(post, path = "/api/v1/sweeps", tag = "sweeps",
    params(("weight" = Option<f64>, Query, description = "Share inside its band, greater than 0; 1 by default"),
           ("band" = Option<u8>, Query, description = "0 to 7, lower goes first; 4 by default"),
           ("cap" = Option<u32>, Query, description = "Most runs in training at once; none by default")),
    request_body(content((schema::Submission = "application/json"), (String = "application/yaml"))),
    responses((status = 201, description = "Submitted; `location` names it", body = schema::Receipt),
              (status = 200, description = "It was there; what was cancelled of it is queued again", body = schema::Receipt)))]
pub(crate) async fn submit(
    State(app): State<App>,
    Asked(asked): Asked<TermsQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    sweeps::check(asked.weight, asked.band, asked.cap)?;
    let media_type = extract::media_type(&headers)?;
    if media_type == MediaType::Other {
        let text =
            "the body must be application/yaml (a sweep file) or application/json (a document)";
        return Err(Problem::new(Kind::MediaType, text));
    }
    let bytes = extract::whole(&headers, body, app.max_body).await?;
    let (sweep, known) = match media_type {
        MediaType::Json => sent(&app, extract::parse(&bytes)?).await?,
        _ => alone(&app, &bytes).await?,
    };
    let (sweep, plan) = planned(&app, sweep, known.infos).await?;
    let Checked { inputs, mut warnings } = inputs(&app, &plan, known.inputs).await?;
    warnings.splice(0..0, plan.warnings.iter().cloned());

    let before = app.store.sweep(&sweep.id(&plan)).await?.map(|(status, _)| status);
    let terms = Terms {
        weight: asked.weight.unwrap_or(Terms::default().weight),
        band: asked.band.unwrap_or(Terms::default().band),
        cap: asked.cap,
        inputs,
    };
    let (id, counts) = submit_on(&app.store, &sweep, &plan, &terms).await?;
    if let Some(before) = &before {
        change(&app, before, asked).await?;
    }
    let receipt = Receipt {
        id: id.clone(),
        name: sweep.name().to_owned(),
        runs: RunCounts {
            total: counts.new + counts.known + counts.joined + counts.requeued,
            new: counts.new,
            known: counts.known,
            joined: counts.joined,
            requeued: counts.requeued,
        },
        warnings,
    };
    let (new, total) = (receipt.runs.new, receipt.runs.total);
    tracing::info!(sweep.id = %id, runs = total, new, "sweep {} submitted: {total} runs, {new} of them new", sweep.name());
    let status = if before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    let mut response = (status, Json(receipt)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/sweeps/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// A document: file, data sets, blobs.
async fn sent(app: &App, sent: Sent) -> Result<(Sweep, Known), Problem> {
    if sent.file.len() > FILE_MAX || sent.inputs.len() > INPUTS_MAX {
        let text = format!("`file` may have {FILE_MAX} bytes and `inputs` {INPUTS_MAX} entries");
        return Err(Problem::new(Kind::Value, text));
    }
    datasets::check(&sent.datasets)?;
    let sweep = app.heavy(move || Sweep::parse(&sent.text, &sent.file)).await??;
    Ok((sweep, Known { infos: sent.datasets, inputs: sent.inputs }))
}

/// A sweep file.
async fn alone(app: &App, bytes: &[u8]) -> Result<(Sweep, Known), Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Problem::new(Kind::Body, "the sweep file is not UTF-8 text"))?
        .to_owned();
    let sweep = app.heavy(move || Sweep::parse(&text, UNNAMED)).await??;
    let known = datasets::resolve(app, sweep.datasets()).await?;
    Ok((sweep, known))
}

async fn planned(
    app: &App,
    sweep: Sweep,
    infos: Vec<DataSetInfo>,
) -> Result<(Sweep, Plan), Problem> {
    let planned = app.heavy(move || sweep.plan(&infos).map(|plan| (sweep, plan)));
    Ok(planned.await??)
}

/// The files of a sweep, all of them among the blobs.
struct Checked {
    inputs: Vec<InputFile>,
    warnings: Vec<String>,
}

async fn inputs(app: &App, plan: &Plan, given: Vec<InputFile>) -> Result<Checked, Problem> {
    let mut missing = Vec::new();
    for input in &given {
        match app.blobs.head(&input.digest).await? {
            Some(bytes) if bytes == input.bytes => {}
            Some(bytes) => {
                let text = format!(
                    "blob {} has {bytes} bytes, but `inputs` says {}",
                    input.digest, input.bytes
                );
                return Err(Problem::new(Kind::Value, text));
            }
            None => missing.push(input.digest.to_string()),
        }
    }
    if !missing.is_empty() {
        let text = format!(
            "{} files of the sweep are not stored here yet: PUT each to /api/v1/blobs/DIGEST, then send the sweep again",
            missing.len()
        );
        return Err(Problem::new(Kind::MissingInputs, text).with("missing", missing.into()));
    }
    let warnings = unpacked(plan, &given);
    Ok(Checked { inputs: given, warnings })
}

/// A warning for each data set whose pictures workers cannot fetch.
fn unpacked(plan: &Plan, given: &[InputFile]) -> Vec<String> {
    let packs: BTreeSet<(Digest, Digest, u32)> = given
        .iter()
        .filter_map(|file| match file.input {
            Input::Pack { content, split, image_size } => Some((content, split, image_size)),
            Input::Weights { .. } => None,
        })
        .collect();
    let mut warnings = Vec::new();
    for (index, info) in plan.datasets.iter().enumerate() {
        let sizes: BTreeSet<u32> = plan
            .configurations
            .iter()
            .filter(|planned| planned.dataset == index)
            .map(|planned| planned.configuration.training.image_size)
            .collect();
        let lacks = |size: &u32| !packs.contains(&(info.content, info.split, *size));
        if sizes.iter().any(lacks) && !datasets::is_built_in(info) {
            warnings.push(format!("data set `{}` comes without its packed pictures: only workers that have them can train on it (`sweep submit` sends them along)", info.name));
        }
    }
    warnings
}

/// A place in line that was asked for by name counts for a sweep that is there, too.
async fn change(app: &App, before: &SweepStatus, asked: TermsQuery) -> Result<(), Problem> {
    let id = &before.id;
    let weight = asked.weight.filter(|weight| *weight != before.weight);
    let band = asked.band.filter(|band| *band != before.band);
    let cap = asked.cap.filter(|cap| Some(*cap) != before.cap);
    let commands = [
        weight.map(|weight| Command::Weight(id.clone(), weight)),
        band.map(|band| Command::Band(id.clone(), band)),
        cap.map(|cap| Command::Cap(id.clone(), Some(cap))),
    ];
    for command in commands.into_iter().flatten() {
        app.store.control(Now::Server, &command).await?;
    }
    Ok(())
}
