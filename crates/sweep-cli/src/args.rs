//! The command line: every flag, with examples in `--help`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sweep_core::lifecycle::StateName;

/// Find out which loss really is better: sweeps over loss × data set × hyperparameters × seed, with honest statistics.
#[derive(Debug, Parser)]
#[command(
    name = "sweep",
    version,
    after_help = "Examples:
  sweep run sweeps/quickstart.yaml        train a sweep here and compare its losses
  sweep plan my_sweep.yaml                what would run, and what its seeds can resolve
  sweep data check datasets/mine.yaml     counts, duplicates and leaks of a data set
  sweep report quickstart -o report/      write the HTML report again

Exit codes: 0 done, 1 the command failed, 2 the input is wrong, 3 the sweep ended with failed runs,
4 a coordinator or store cannot be reached or does not allow it, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where sweeps, runs and results are kept: sqlite:PATH, redis://HOST:PORT, … [env: SWEEP_STORE] [default: sweep.db below --dir]
    #[arg(long, global = true, value_name = "URL", conflicts_with = "coordinator")]
    pub(crate) store: Option<String>,
    /// Ask this coordinator instead of a store; SWEEP_TOKEN, or what is in the file SWEEP_TOKEN_FILE, is shown to it [env: SWEEP_COORDINATOR]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) coordinator: Option<String>,
    /// Directory for packed data sets, checkpoints and reports
    #[arg(long, global = true, env = "SWEEP_DIR", value_name = "DIR", default_value = ".sweep")]
    pub(crate) dir: PathBuf,
    /// More log lines on stderr (-v: info, -vv: debug); `SWEEP_LOG` takes a filter
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a sweep on this machine, then compare; run it again to go on after a Ctrl-C
    #[command(after_help = "Examples:
  sweep run sweeps/quickstart.yaml
  sweep run my_sweep.yaml --slots 4       four runs at a time
  sweep run my_sweep.yaml --json          the report as one JSON document on stdout

Ctrl-C saves the running trainings; the same command goes on from there. A second Ctrl-C leaves at once.")]
    Run(RunArgs),
    /// Say what would run: configurations, runs, new against known, and what the seeds can resolve
    #[command(after_help = "Examples:
  sweep plan my_sweep.yaml
  sweep plan my_sweep.yaml --defaults     the file with every default written out")]
    Plan(PlanArgs),
    /// Parse and validate a sweep file and its data sets, fetching nothing; exit code 2 when something is wrong
    #[command(after_help = "Examples:
  sweep check my_sweep.yaml
  sweep check sweeps/quickstart.yaml my_sweep.yaml")]
    Check(CheckArgs),
    /// List the sweeps of the store
    #[command(after_help = "Examples:
  sweep list
  sweep list --json")]
    List(JsonArgs),
    /// One sweep: runs by state, failures with their first line
    #[command(after_help = "Examples:
  sweep status                            the newest sweep
  sweep status quickstart --json")]
    Status(OptionalSweepArgs),
    /// The runs of a sweep
    #[command(after_help = "Examples:
  sweep runs quickstart
  sweep runs quickstart --state failed
  sweep runs quickstart --json")]
    Runs(RunsArgs),
    /// Loss and accuracy per epoch of one run
    #[command(after_help = "Examples:
  sweep curves 3k2fz                      a run id or a unique prefix (see `sweep runs`)
  sweep curves 3k2fz --json")]
    Curves(CurvesArgs),
    /// What an attempt of a run printed
    #[command(after_help = "Examples:
  sweep logs 3k2fz")]
    Logs(CurvesArgs),
    /// Verdicts against the baseline, best set per data set, what is unresolved and what would resolve it
    #[command(after_help = "Examples:
  sweep compare quickstart
  sweep compare quickstart --details      other tests, variance, ranks: what a reviewer may ask
  sweep compare my_sweep.yaml --json")]
    Compare(CompareArgs),
    /// Write the report: one self-contained HTML file, report.json, tables
    #[command(after_help = "Examples:
  sweep report quickstart
  sweep report quickstart -o out/
  sweep report --from-table sweeps/study_published.yaml
                                          what a published table of single runs supports")]
    Report(ReportArgs),
    /// From a finished sweep over learning rates on inner splits, write the one that judges each loss at its own rate
    #[command(after_help = "Examples:
  sweep run sweeps/learning_rate_choice.yaml
  sweep choose sweeps/learning_rate_choice.yaml --seeds 10 -o sweeps/learning_rate_chosen.yaml
  sweep run sweeps/learning_rate_chosen.yaml

The same results choose the same rates. A loss gets the rate with the highest mean accuracy over the data sets, of equal ones the
smallest, and none that diverged. No image and no seed that judges takes part in the choice.")]
    Choose(ChooseArgs),
    /// Runs and epochs as CSV or JSON
    #[command(after_help = "Examples:
  sweep export quickstart --format csv > runs.csv
  sweep export quickstart --format csv --epochs > epochs.csv
  sweep export quickstart --format json > runs.json")]
    Export(ExportArgs),
    /// Queue the failed runs of a sweep again
    #[command(after_help = "Examples:
  sweep retry quickstart")]
    Retry(SweepArgs),
    /// Give up the unfinished runs of a sweep; results stay
    #[command(after_help = "Examples:
  sweep cancel quickstart")]
    Cancel(SweepArgs),
    /// Train no further runs of a sweep until it is resumed
    #[command(after_help = "Examples:
  sweep pause am_softmax_m_grid           runs in training end first
  sweep pause am_softmax_m_grid --now     runs in training are saved and handed back")]
    Pause(PauseArgs),
    /// Go on with a paused sweep
    #[command(after_help = "Examples:
  sweep resume am_softmax_m_grid")]
    Resume(SweepArgs),
    /// Give a sweep more or fewer of the workers
    #[command(after_help = "Examples:
  sweep priority urgent --weight 4        four times the share of a sweep of weight 1
  sweep priority urgent --band 0          before everything of band 1 to 7 (the default is 4)
  sweep priority big --cap 8              at most 8 of its runs at once (0: no cap)")]
    Priority(PriorityArgs),
    /// Send a sweep to a coordinator, or to a store that workers share
    #[command(after_help = "Examples:
  sweep submit sweeps/am_softmax_m_grid.yaml
  sweep submit sweeps/am_softmax_m_grid.yaml --wait         progress, then the verdicts
  sweep submit my_sweep.yaml --dry-run                      what would be new; sends nothing
  sweep submit my_sweep.yaml --coordinator https://sweep.example.org
  sweep submit my_sweep.yaml --store redis://127.0.0.1:6379

Without an address it goes to the coordinator on this machine (http://127.0.0.1:7878). Submitting the same file again
changes nothing. With --wait: exit code 0 when every run succeeded, 3 when some failed, 1 when the sweep was cancelled;
Ctrl-C leaves the sweep running.")]
    Submit(SubmitArgs),
    /// Serve the HTTP API over a store, and tend it; any number may run
    #[command(after_help = "Examples:
  sweep coordinator --store redis://127.0.0.1:6379
  sweep coordinator --store redis://127.0.0.1:6379 --listen 0.0.0.0:7878 --tokens tokens/
                                          tokens/ holds the files read, submit, admin: a token per line
  sweep coordinator --store sqlite:.sweep/sweep.db          one machine, no Redis

Without --tokens it listens on loopback only. SIGTERM ends it within seconds; workers go on without it.")]
    Coordinator(CoordinatorArgs),
    /// Train the runs of a store until told to stop; as many as there are GPUs, anywhere
    #[command(after_help = "Examples:
  sweep worker --store redis://127.0.0.1:6379
  sweep worker --store redis://127.0.0.1:6379 --slots 2 --device cuda:0
  sweep worker --store redis://redis:6379 --blobs https://sweep.example.org --exit-when-idle 120
                                          data sets by way of a coordinator; ends after two idle minutes

The first SIGTERM or Ctrl-C saves the running trainings and hands them back at no cost; the second leaves at once.")]
    Worker(WorkerArgs),
    /// Watch a sweep until it ends; Ctrl-C leaves it running
    #[command(after_help = "Examples:
  sweep watch                             the newest sweep
  sweep watch am_softmax_m_grid --coordinator http://127.0.0.1:7878")]
    Watch(WatchArgs),
    /// The losses: hyperparameters, ranges, defaults, papers
    #[command(after_help = "Examples:
  sweep losses
  sweep losses am_softmax")]
    Losses(LossesArgs),
    /// Data sets: audit and packing
    #[command(subcommand)]
    Data(DataCommand),
    /// Store, disk, device, data sets: what is wrong and how to mend it
    #[command(after_help = "Examples:
  sweep doctor
  sweep doctor my_sweep.yaml")]
    Doctor(DoctorArgs),
    /// Shell completions
    #[command(after_help = "Examples:
  sweep completions bash > ~/.local/share/bash-completion/completions/sweep")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The sweep file
    pub(crate) file: PathBuf,
    /// Runs trained at a time [default: the number of cores for small networks, 1 for deeper ones]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) slots: Option<u16>,
    /// auto, cpu or cuda:N
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// Where the report goes [default: reports/NAME below the directory of --dir]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Print the report as one JSON document on stdout instead of tables
    #[arg(long)]
    pub(crate) json: bool,
    /// No live view
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Address of the dashboard, on this machine [default: 127.0.0.1:7878, or a free port where that is taken]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<std::net::SocketAddr>,
    /// No dashboard
    #[arg(long, conflicts_with = "listen")]
    pub(crate) no_dashboard: bool,
    /// burn, or fake with its faults (for tests and benchmarks)
    #[arg(long, hide = true, default_value = "burn")]
    pub(crate) trainer: String,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The sweep file
    pub(crate) file: PathBuf,
    /// Print the file with every default written out
    #[arg(long)]
    pub(crate) defaults: bool,
    /// One JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Sweep files
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// One JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct JsonArgs {
    /// One JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    /// An id, a unique prefix of one, a name (the newest of it) or a sweep file
    pub(crate) sweep: String,
    /// One JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// An id, a unique prefix of one, a name (the newest of it) or a sweep file
    pub(crate) sweep: String,
    /// Also other tests, variance components, averages and ranks
    #[arg(long)]
    pub(crate) details: bool,
    /// One JSON document
    #[arg(long, conflicts_with = "details")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// An id, a unique prefix of one, a name (the newest of it) or a sweep file
    pub(crate) sweep: String,
    /// Save the runs in training and hand them back
    #[arg(long)]
    pub(crate) now: bool,
    /// One JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Share {
    /// Share among the sweeps of its band, greater than 0 (1 unless told otherwise)
    #[arg(long, group = "share", allow_negative_numbers = true)]
    pub(crate) weight: Option<f64>,
    /// 0 to 7: lower bands go first (4 unless told otherwise)
    #[arg(long, group = "share", value_parser = clap::value_parser!(u8).range(0..=7))]
    pub(crate) band: Option<u8>,
    /// At most so many of its runs at once (0: no cap)
    #[arg(long, group = "share", value_name = "RUNS")]
    pub(crate) cap: Option<u32>,
}

impl Share {
    /// The cap of a new sweep.
    pub(crate) fn cap(&self) -> Option<u32> {
        self.cap.filter(|cap| *cap > 0)
    }

    /// As a coordinator's API names them.
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let weight = self.weight.map(|weight| ("weight", weight.to_string()));
        let band = self.band.map(|band| ("band", band.to_string()));
        let cap = self.cap().map(|cap| ("cap", cap.to_string()));
        weight.into_iter().chain(band).chain(cap).collect()
    }
}

#[derive(Debug, Args)]
#[group(skip)]
#[command(group(clap::ArgGroup::new("share").required(true).multiple(true)))]
pub(crate) struct PriorityArgs {
    /// An id, a unique prefix of one, a name (the newest of it) or a sweep file
    pub(crate) sweep: String,
    #[command(flatten)]
    pub(crate) share: Share,
    /// One JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[group(skip)]
#[command(group(clap::ArgGroup::new("share").multiple(true)))]
pub(crate) struct SubmitArgs {
    /// The sweep file
    pub(crate) file: PathBuf,
    /// Watch until the sweep ends, then print the verdicts
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) wait: bool,
    /// Say what would be new and what would be sent; send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Where workers of a --store find data sets: a directory, s3://BUCKET/PREFIX, gs://…, az://… [default: blobs below --dir]
    #[arg(long, env = "SWEEP_BLOBS", value_name = "URL")]
    pub(crate) blobs: Option<String>,
    #[command(flatten)]
    pub(crate) share: Share,
    /// No live view
    #[arg(long)]
    pub(crate) quiet: bool,
    /// One JSON document: the submission, or with --wait the report
    #[arg(long)]
    pub(crate) json: bool,
}

/// Flags of both services.
#[derive(Debug, Args)]
pub(crate) struct Services {
    /// The pool of workers: the namespace of a Redis store
    #[arg(long, env = "SWEEP_POOL", value_name = "NAME")]
    pub(crate) pool: Option<String>,
    /// Data sets, weights and checkpoints: a directory, s3://BUCKET/PREFIX, gs://…, az://…, or a coordinator (http://…)
    /// [default: blobs below --dir]
    #[arg(long, env = "SWEEP_BLOBS", value_name = "URL")]
    pub(crate) blobs: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CoordinatorArgs {
    #[command(flatten)]
    pub(crate) services: Services,
    #[command(flatten)]
    pub(crate) service: coordinator::service::ServiceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    #[command(flatten)]
    pub(crate) services: Services,
    /// Runs trained at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) slots: u16,
    /// auto, cpu or cuda:N
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// Serve /metrics, /healthz and /readyz here
    #[arg(long, env = "SWEEP_METRICS_LISTEN", value_name = "HOST:PORT")]
    pub(crate) metrics_listen: Option<std::net::SocketAddr>,
    /// End after so many seconds without a run
    #[arg(long, value_name = "SECONDS")]
    pub(crate) exit_when_idle: Option<u64>,
    /// Seconds that a stop waits for checkpoints
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    pub(crate) drain_seconds: u64,
    /// Disk for fetched data sets and weights, GB
    #[arg(long, value_name = "GB", default_value_t = 20)]
    pub(crate) cache_gb: u64,
    /// burn, or fake with its faults (for tests and benchmarks)
    #[arg(long, hide = true, default_value = "burn")]
    pub(crate) trainer: String,
    /// Length of a lease in milliseconds (for tests)
    #[arg(long, hide = true, value_parser = clap::value_parser!(u64).range(100..))]
    pub(crate) lease_ms: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// An id, a unique prefix of one, a name (the newest of it) or a sweep file [default: the newest sweep]
    pub(crate) sweep: Option<String>,
    /// No live view
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Print the report as one JSON document at the end
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OptionalSweepArgs {
    /// An id, a unique prefix of one, a name (the newest of it) or a sweep file [default: the newest sweep]
    pub(crate) sweep: Option<String>,
    /// One JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// An id, a unique prefix of one, a name (the newest of it) or a sweep file
    pub(crate) sweep: String,
    /// Only runs in this state
    #[arg(long, value_enum)]
    pub(crate) state: Option<State>,
    /// One JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CurvesArgs {
    /// A run id or a unique prefix of one
    pub(crate) run: String,
    /// One JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// An id, a unique prefix of one, a name (the newest of it) or a sweep file
    #[arg(required_unless_present = "from_table")]
    pub(crate) sweep: Option<String>,
    /// Say what a published table of single runs supports (YAML or CSV), from its accuracies and counts alone
    #[arg(long, value_name = "TABLE", conflicts_with_all = ["sweep", "output"])]
    pub(crate) from_table: Option<PathBuf>,
    /// Where the report goes [default: reports/NAME below the directory of --dir]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Print the report as one JSON document on stdout as well
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ChooseArgs {
    /// The sweep file whose results choose; its data sets are inner splits (NAME_inner)
    pub(crate) file: PathBuf,
    /// Seeds of the sweep that judges: 1 to N
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) seeds: u64,
    /// Where it goes, in the folder of the first [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// An id, a unique prefix of one, a name (the newest of it) or a sweep file
    pub(crate) sweep: String,
    /// Which format
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    pub(crate) format: Format,
    /// One row per epoch instead of one per run (CSV)
    #[arg(long)]
    pub(crate) epochs: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LossesArgs {
    /// Only this loss
    pub(crate) name: Option<String>,
    /// One JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Decode, count, audit duplicates, leaks and properties that give the class away
    #[command(after_help = "Examples:
  sweep data check digits
  sweep data check sweeps/datasets/fruits.yaml
  sweep data check sweeps/datasets/fruits.yaml --json")]
    Check(DataArgs),
    /// Decode and resize once into the packed cache that runs read
    #[command(after_help = "Examples:
  sweep data pack sweeps/datasets/fruits.yaml --image-size 64")]
    Pack(PackArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// A built-in data set (digits), or a manifest
    pub(crate) dataset: String,
    /// One JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PackArgs {
    /// A built-in data set (digits), or a manifest
    pub(crate) dataset: String,
    /// The `image_size` of the sweeps that will read it
    #[arg(long, default_value_t = 224, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) image_size: u32,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Check what this sweep file needs as well
    pub(crate) file: Option<PathBuf>,
    /// One JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// Comma-separated values, one header line
    Csv,
    /// One JSON document
    Json,
}

/// [`StateName`] as a flag.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum State {
    Queued,
    Leased,
    Delayed,
    Succeeded,
    Failed,
    Cancelled,
}

impl From<State> for StateName {
    fn from(state: State) -> Self {
        match state {
            State::Queued => Self::Queued,
            State::Leased => Self::Leased,
            State::Delayed => Self::Delayed,
            State::Succeeded => Self::Succeeded,
            State::Failed => Self::Failed,
            State::Cancelled => Self::Cancelled,
        }
    }
}
