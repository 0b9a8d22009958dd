//! Where a command finds its sweeps: a store, or a coordinator in front of one.
//!
//! `--store` and `--coordinator` say which; without them the environment, then `config.toml`, then the embedded store of this
//! directory, and where there is none, a coordinator on this machine.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use secrecy::SecretString;
use sweep_core::ids::{RunId, SweepId};
use sweep_core::lifecycle::StateName;
use sweep_core::record::RunRecord;
use sweep_core::sweep::Document;
use sweep_store::{
    AnyStore, Command, Demand, Now, PageCursor, Policy, Reads, RunDetail, RunPage, Store,
    StoreError, SweepStatus, WorkerStatus,
};

use crate::args::Global;
use crate::client::Client;
use crate::config::Config;
use crate::exit::WrongInput;
use crate::stored;

/// Where a coordinator on this machine listens unless told otherwise.
pub(crate) const COORDINATOR: &str = "http://127.0.0.1:7878";

/// See the module.
#[derive(Clone)]
pub(crate) enum Source {
    /// Directly.
    Store(AnyStore),
    /// By its API.
    Coordinator(Client),
}

/// What an address leads to.
enum Place {
    /// A store's URL.
    Store(String),
    /// A coordinator.
    Coordinator(Client),
}

impl Place {
    fn coordinator(address: &str) -> Result<Self> {
        Client::new(address, token()?).map(Self::Coordinator).map_err(WrongInput::error)
    }

    fn embedded(global: &Global) -> Self {
        Self::Store(stored::embedded(global))
    }

    fn open(self, store: fn(&str) -> Result<AnyStore>) -> Result<Source> {
        match self {
            Self::Store(url) => store(&url).map(Source::Store),
            Self::Coordinator(client) => Ok(Source::Coordinator(client)),
        }
    }
}

/// The place that flags, environment and `config.toml` name, in this order.
fn named(global: &Global) -> Result<Option<Place>> {
    if let Some(url) = &global.store {
        return Ok(Some(Place::Store(url.clone())));
    }
    if let Some(address) = global.coordinator.clone().or_else(|| variable("SWEEP_COORDINATOR")) {
        return Place::coordinator(&address).map(Some);
    }
    let config = Config::read()?;
    match (variable("SWEEP_STORE"), config.coordinator, config.store) {
        (Some(url), _, _) | (None, None, Some(url)) => Ok(Some(Place::Store(url))),
        (None, Some(address), _) => Place::coordinator(&address).map(Some),
        (None, None, None) => Ok(None),
    }
}

/// The store for commands that need one themselves: services, and `sweep run`.
pub(crate) fn store_url(global: &Global) -> Result<String> {
    if global.coordinator.is_some() {
        return Err(WrongInput::error(
            "this command works on a store, not on a coordinator: name it with --store or SWEEP_STORE",
        ));
    }
    let named = global.store.clone().or_else(|| variable("SWEEP_STORE"));
    Ok(match named {
        Some(url) => url,
        None => Config::read()?.store.unwrap_or_else(|| stored::embedded(global)),
    })
}

/// What a coordinator is shown: `SWEEP_TOKEN`, else what the file `SWEEP_TOKEN_FILE` holds, as clusters mount secrets.
pub(crate) fn token() -> Result<Option<SecretString>> {
    if let Some(token) = variable("SWEEP_TOKEN") {
        return Ok(Some(token.into()));
    }
    let Some(path) = variable("SWEEP_TOKEN_FILE") else {
        return Ok(Config::read()?.token);
    };
    let text = std::fs::read_to_string(&path).map_err(|error| {
        WrongInput::error(format!("cannot read SWEEP_TOKEN_FILE {path}: {error}"))
    })?;
    // A file of tokens may hold one per line while they are being changed.
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let token = first
        .ok_or_else(|| WrongInput::error(format!("SWEEP_TOKEN_FILE {path} holds no token")))?;
    Ok(Some(token.to_owned().into()))
}

/// An environment variable that is set to something.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Source {
    /// To read.
    pub(crate) fn to_read(global: &Global) -> Result<Self> {
        named(global)?.unwrap_or_else(|| Place::embedded(global)).open(stored::open_to_read)
    }

    /// To give commands.
    pub(crate) fn to_change(global: &Global) -> Result<Self> {
        named(global)?.unwrap_or_else(|| Place::embedded(global)).open(stored::open)
    }

    /// To submit: without any address a coordinator on this machine, for nobody works for an embedded store by itself.
    pub(crate) fn to_submit(global: &Global) -> Result<Self> {
        let place = match named(global)? {
            Some(place) => place,
            None => Place::coordinator(COORDINATOR)?,
        };
        place.open(stored::open)
    }

    /// A person's command, carried out to its end.
    pub(crate) async fn control(&self, command: &Command) -> Result<()> {
        match self {
            Self::Store(store) => {
                store.control(Now::Server, command).await.context("the store refused")?;
                let policy = Policy::default();
                while store.tick(Now::Server, &policy).await.context("the store refused")?.more {}
                Ok(())
            }
            Self::Coordinator(client) => Ok(client.control(command).await?),
        }
    }

    /// The flag with which another command finds the same place; nothing where it would anyway.
    pub(crate) fn flag(&self) -> String {
        match self {
            Self::Store(store) => match store {
                AnyStore::Sqlite(_) => String::new(),
                AnyStore::Redis(_) => format!(" --store '{store}'"),
            },
            Self::Coordinator(client) => format!(" --coordinator {}", client.address()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(store) => store.fmt(f),
            Self::Coordinator(client) => f.write_str(client.address()),
        }
    }
}

macro_rules! either {
    ($self:ident, $place:ident => $call:expr) => {
        match $self {
            Self::Store($place) => $call.await,
            Self::Coordinator($place) => $call.await,
        }
    };
}

impl Reads for Source {
    async fn sweeps(&self) -> Result<Vec<SweepStatus>, StoreError> {
        either!(self, place => place.sweeps())
    }

    async fn sweep(&self, sweep: &SweepId) -> Result<Option<(SweepStatus, Document)>, StoreError> {
        either!(self, place => place.sweep(sweep))
    }

    async fn runs(
        &self,
        sweep: &SweepId,
        states: &[StateName],
        with_results: bool,
        after: Option<&PageCursor>,
        limit: u32,
    ) -> Result<RunPage, StoreError> {
        either!(self, place => place.runs(sweep, states, with_results, after, limit))
    }

    async fn results(&self, sweep: &SweepId) -> Result<Vec<RunRecord>, StoreError> {
        either!(self, place => place.results(sweep))
    }

    async fn run(&self, run: &RunId) -> Result<Option<RunDetail>, StoreError> {
        either!(self, place => place.run(run))
    }

    async fn states(&self, runs: &[RunId]) -> Result<Vec<Option<StateName>>, StoreError> {
        either!(self, place => place.states(runs))
    }

    async fn demand(&self) -> Result<Demand, StoreError> {
        either!(self, place => place.demand())
    }

    async fn workers(&self) -> Result<Vec<WorkerStatus>, StoreError> {
        either!(self, place => place.workers())
    }
}

/// The sweep that `text` means: a sweep file, else what [`coordinator::find`] knows; the newest one without `text`.
pub(crate) async fn find(source: &Source, text: Option<&str>) -> Result<SweepStatus> {
    if let Some(text) = text {
        let path = Path::new(text);
        let looks_like_a_file = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
        if looks_like_a_file {
            let loaded = crate::load::load(path)?;
            let id = loaded.sweep.id(&loaded.plan);
            let found = source.sweep(&id).await?;
            return found.map(|(status, _)| status).ok_or_else(|| {
                WrongInput::error(format!("{text} has not been run as it stands now (`sweep run {text}` runs it; `sweep list` shows what was run)"))
            });
        }
    }
    coordinator::find(source, text).await.map_err(|error| match error {
        coordinator::FindError::Store(error) => error.into(),
        _ => WrongInput::error(error),
    })
}
