//! The shapes of the API, for its description only: mirrors of the types that are really sent (`sweep-core` and `sweep-store` need not
//! know OpenAPI). A test holds real answers against them.

#![allow(dead_code, reason = "shapes are described, never made")]

use serde::Deserialize;
use utoipa::ToSchema;

/// Raw bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(crate) struct Bytes(String);

/// 64 lower-case hexadecimal digits of a blake3 digest.
#[derive(Deserialize, ToSchema)]
#[schema(pattern = "^[0-9a-f]{64}$")]
pub(crate) struct Digest(String);

/// 20 characters of a content hash.
#[derive(Deserialize, ToSchema)]
#[schema(pattern = "^[a-z2-7]{20}$")]
pub(crate) struct Id(String);

/// Milliseconds since 1970 on the store's clock.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Timestamp(i64);

/// State of a run.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StateName {
    Queued,
    Leased,
    Delayed,
    Succeeded,
    Failed,
    Cancelled,
}

/// State of a sweep.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SweepState {
    Active,
    Paused,
    PausedNow,
    Cancelled,
}

/// Runs of a sweep by state.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counts {
    queued: u32,
    leased: u32,
    delayed: u32,
    succeeded: u32,
    failed: u32,
    cancelled: u32,
}

/// A complete submission of a sweep.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SubmissionRecord)]
pub(crate) struct SubmissionRecord {
    at: Timestamp,
    /// The adaptive round, 0 without.
    round: u32,
    /// Seeds per configuration asked for.
    seeds: u32,
    runs: u32,
    /// Reports made before it.
    reports: u32,
}

/// A sweep.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SweepStatus {
    id: Id,
    name: String,
    /// Share inside its band, greater than 0.
    weight: f64,
    /// 0 to 7, lower goes first.
    band: u8,
    /// Most runs in training at once.
    #[schema(required)]
    cap: Option<u32>,
    state: SweepState,
    /// Adaptive round in hand, 0 without.
    round: u32,
    /// Whether all runs of the round have arrived.
    sealed: bool,
    counts: Counts,
    submissions: Vec<SubmissionRecord>,
    /// Reports that were shown.
    reports: u32,
    created: Timestamp,
    /// Slot-seconds of its ended attempts.
    seconds: f64,
    ended_attempts: u64,
    /// A command has not reached all its runs yet.
    walking: bool,
}

/// A page of sweeps, newest first.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sweeps {
    sweeps: Vec<SweepStatus>,
    /// `cursor` of the next page.
    #[schema(required)]
    next: Option<String>,
}

/// What rebuilds a sweep without its files.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    /// Name of the sweep file, for messages.
    file: String,
    /// The sweep file.
    text: String,
    /// In the order of the file.
    datasets: Vec<DataSetInfo>,
    /// Of the analysis block; computed by the coordinator.
    analysis: Digest,
    /// What the looks of an adaptive sweep decided; kept by the coordinator.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    rounds: Vec<serde_json::Value>,
    /// Files that workers fetch by digest.
    #[serde(default)]
    inputs: Vec<InputFile>,
}

/// A sweep file with what its client knows. `analysis` and `rounds` of a stored document may stand in it and count for nothing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Submission {
    /// Name of the sweep file, for messages.
    file: String,
    /// The sweep file.
    text: String,
    /// The data sets it names, in its order.
    datasets: Vec<DataSetInfo>,
    /// Files that workers fetch by digest, stored as blobs before.
    #[serde(default)]
    inputs: Vec<InputFile>,
    /// Ignored.
    #[serde(default)]
    analysis: Option<String>,
    /// Ignored.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    rounds: Vec<serde_json::Value>,
}

/// A data set: counts, classes, digests.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataSetInfo {
    name: String,
    title: String,
    /// In label order.
    classes: Vec<String>,
    /// Training images per class.
    train: Vec<u32>,
    /// Validation images per class.
    val: Vec<u32>,
    /// Of what decides pixels and labels.
    content: Digest,
    /// Of which image is for what.
    split: Digest,
    /// 1 or 3.
    channels: u8,
    /// Side of its pictures where all are square and of one size.
    #[schema(required)]
    fixed_size: Option<u32>,
    warnings: Vec<String>,
}

/// A file that training reads, kept as a blob.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InputFile {
    input: Input,
    digest: Digest,
    bytes: u64,
}

/// What a file is.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Input {
    /// A data set's pictures, decoded and resized.
    Pack { content: Digest, split: Digest, image_size: u32 },
    /// Pretrained weights.
    Weights { sha256: String },
}

/// A sweep with its document.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SweepDetail {
    #[serde(flatten)]
    status: SweepStatus,
    document: Document,
}

/// What became of a submission.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receipt {
    id: Id,
    name: String,
    runs: ReceiptRuns,
    /// What a careful reader should know before running.
    warnings: Vec<String>,
}

/// Runs of a submission by what was known of them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReceiptRuns {
    total: u32,
    /// Nobody had asked for them before.
    new: u32,
    /// Had ended.
    known: u32,
    /// Wait or train already.
    joined: u32,
    /// Were cancelled and are wanted again.
    requeued: u32,
}

/// Where a sweep stands in line; what is not named stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// Share inside its band, greater than 0.
    weight: Option<f64>,
    /// 0 to 7, lower goes first.
    band: Option<u8>,
    /// Most runs in training at once; null: no cap.
    cap: Option<u32>,
}

/// A run in its place in a sweep.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    id: Id,
    /// Place in the sweep, from 0.
    ord: u32,
    spec: RunSpec,
}

/// What is trained: a configuration and a seed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunSpec {
    /// Data set, loss with its hyperparameters, model, training settings, as in a sweep file with every default written out.
    #[schema(value_type = Object)]
    configuration: serde_json::Value,
    seed: u64,
}

/// A run with its state and result.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunRecord {
    run: Run,
    state: StateName,
    /// Attempts started so far.
    attempts: u32,
    /// Of the last lease; of the accepted result where there is one.
    #[schema(required)]
    fence: Option<u64>,
    /// `worker/slot`, while leased.
    #[schema(required)]
    holder: Option<String>,
    /// First line of the last error.
    #[schema(required)]
    error: Option<String>,
    /// Where asked for, of a succeeded run.
    #[schema(required)]
    result: Option<RunResult>,
}

/// A page of runs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunPage {
    runs: Vec<RunRecord>,
    /// `cursor` of the next page.
    #[schema(required)]
    next: Option<String>,
}

/// What a training left.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunResult {
    end: TrainingEnd,
    epochs: Vec<EpochMetrics>,
    /// What the final model says of the validation images: bits right or wrong, confusion counts.
    #[schema(value_type = Option<Object>, required)]
    validation: Option<serde_json::Value>,
    device: DeviceKind,
    seconds: f64,
}

/// How a training ended.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TrainingEnd {
    /// All epochs.
    Completed,
    /// A loss or gradient became non-finite.
    Diverged { epoch: u32, step: u64 },
}

/// Metrics of one epoch; a number that is not finite is null.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EpochMetrics {
    epoch: u32,
    #[schema(required)]
    train_loss: Option<f64>,
    train_accuracy: f64,
    #[schema(required)]
    val_loss: Option<f64>,
    val_accuracy: f64,
    learning_rate: f64,
    lambda: Option<f64>,
    seconds: f64,
}

/// What a run is trained on.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeviceKind {
    Cpu,
    Cuda,
    Fake,
}

/// Everything known of a run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunDetail {
    id: Id,
    spec: RunSpec,
    /// Where in its life it is, what its attempts have cost, its newest checkpoints.
    #[schema(value_type = Object)]
    state: serde_json::Value,
    /// The sweep that pays for it.
    home: Id,
    /// The sweeps that have it.
    sweeps: Vec<Id>,
    /// The last error, at most 4 KiB.
    #[schema(required)]
    error: Option<String>,
    #[schema(required)]
    result: Option<RunResult>,
    #[schema(required)]
    progress: Option<RunProgress>,
    /// Oldest first.
    attempts: Vec<AttemptRecord>,
}

/// How far a run is that has not ended.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunProgress {
    step: u64,
    epochs: Vec<EpochMetrics>,
}

/// One attempt at a run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AttemptRecord {
    attempt: u32,
    fence: u64,
    holder: Holder,
    device: DeviceKind,
    started: Timestamp,
    #[schema(required)]
    ended: Option<Timestamp>,
    #[schema(required)]
    ending: Option<AttemptEnding>,
    #[schema(required)]
    error: Option<String>,
    /// The last 64 KiB.
    log: String,
}

/// How an attempt ended.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AttemptEnding {
    Succeeded,
    Retry,
    Failed,
    Yielded,
    Faulted,
    Cancelled,
    Lost,
}

/// One slot of one start of a worker.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Holder {
    worker: String,
    slot: u32,
}

/// Epochs of a run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Curves {
    run: Id,
    spec: RunSpec,
    epochs: Vec<EpochMetrics>,
    ended: bool,
}

/// Slots heard of in the last hour.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workers {
    workers: Vec<WorkerStatus>,
}

/// A slot.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkerStatus {
    holder: Holder,
    device: DeviceKind,
    seen: Timestamp,
    #[schema(required)]
    run: Option<Id>,
    drain: bool,
}

/// What an autoscaler needs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Demand {
    /// Slots that could work now: `ready` plus `leased`.
    wanted: u32,
    /// Runs that could be leased now.
    ready: u32,
    /// Runs in training.
    leased: u32,
    /// Runs that wait for a later try.
    delayed: u32,
}

/// An event as `data` of a stream.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Event {
    /// Its place, also its `id`.
    cursor: String,
    at: Timestamp,
    kind: EventKind,
}

/// What happened; its name is also the `event` of the stream.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventKind {
    Submitted { sweep: Id },
    Sweep { sweep: Id },
    Run { run: Id, sweeps: Vec<Id>, state: StateName },
    Epoch { run: Id, sweeps: Vec<Id>, epoch: u32 },
    Drain { worker: String },
}

/// A report; `docs/report.schema.json` has its shape.
#[derive(ToSchema)]
#[schema(value_type = Object)]
pub(crate) struct Report(serde_json::Value);

/// The forms of a report.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    Json,
    Html,
    Markdown,
    Latex,
    RunsCsv,
    EpochsCsv,
    SummariesCsv,
    ComparisonsCsv,
}

/// A problem document (RFC 9457).
#[derive(Deserialize, ToSchema)]
pub(crate) struct Problem {
    /// Which problem, relative to this server.
    #[serde(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    /// What is wrong and what is allowed.
    detail: String,
    /// The path that was asked.
    instance: String,
    /// Of `sweep-file`: each place.
    errors: Option<Vec<Place>>,
    /// Of `missing-inputs`: what to store first.
    missing: Option<Vec<Digest>>,
    /// Of `too-large`: the bound.
    max_bytes: Option<u64>,
}

/// A place in a sweep file.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Place {
    /// From 1.
    line: u64,
    /// In characters, from 1.
    column: u64,
    message: String,
}
