//! A service on a free port over a store of its own, and a client of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use coordinator::service::{ServeError, ServiceArgs, Shelf, serve};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use sweep_core::dataset::DataSetInfo;
use sweep_core::ids::Digest;
use sweep_core::trainer::Trainer;
use sweep_store::blobs::Blobs;
use sweep_store::{AnyStore, Policy};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use worker::fake::FakeTrainer;
use worker::{Options, Worker};

use crate::server::Server;

/// Longer than anything here takes, shorter than a person's patience.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A sweep of 6 runs on the built-in data set.
pub(crate) const FILE: &str = "name: small
datasets: [digits]
seeds: 3
baseline: softmax
losses: [softmax, cosine]
model: { backbone: small_cnn }
training: { epochs: 2, batch_size: 32 }
";

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    args: ServiceArgs,
}

/// Flags as a person types them, on a free port.
pub(crate) fn flags(more: &[&str]) -> ServiceArgs {
    let fixed = ["coordinator", "--listen", "127.0.0.1:0"];
    Flags::parse_from(fixed.iter().chain(more)).args
}

/// A running service.
pub(crate) struct World {
    pub(crate) store: AnyStore,
    pub(crate) address: SocketAddr,
    pub(crate) blobs: PathBuf,
    client: Client,
    token: Option<String>,
    pub(crate) stop: CancellationToken,
    serving: Option<JoinHandle<Result<(), ServeError>>>,
    _dir: Option<Arc<tempfile::TempDir>>,
    /// After the service, which would miss it.
    _server: Option<Arc<Server>>,
}

/// A client that speaks to loopback alone.
pub(crate) fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().unwrap()
}

impl World {
    /// A service with these flags over a store in memory.
    pub(crate) async fn in_memory(more: &[&str]) -> Self {
        Self::over(AnyStore::open("sqlite::memory:").unwrap(), more).await
    }

    /// A service with these flags over this store.
    pub(crate) async fn over(store: AnyStore, more: &[&str]) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let mut world = Self::beside(store, dir.path().join("blobs"), more).await;
        world._dir = Some(dir);
        world
    }

    /// A service over this store and these blobs.
    pub(crate) async fn beside(store: AnyStore, blobs: PathBuf, more: &[&str]) -> Self {
        let (stop, args) = (CancellationToken::new(), flags(more));
        let (tell, told) = oneshot::channel();
        let serving = tokio::spawn({
            let (store, stop, shelf) = (store.clone(), stop.clone(), Shelf::open(&blobs).unwrap());
            async move { serve(store, shelf, args, stop, |at| tell.send(at).unwrap()).await }
        });
        let address = match told.await {
            Ok(address) => address,
            Err(_) => panic!("the service did not start: {}", serving.await.unwrap().unwrap_err()),
        };
        let world = Self {
            store,
            address,
            blobs,
            client: client(),
            token: None,
            stop,
            serving: Some(serving),
            _dir: None,
            _server: None,
        };
        world.ready().await;
        world
    }

    /// Asks until the store was reached.
    async fn ready(&self) {
        let asking = async {
            while self.get("/readyz").await.status() != StatusCode::OK {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect("the service does not become ready");
    }

    /// The same service, asked with this token.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.url(path));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// The JSON behind a path.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    pub(crate) async fn post(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path)).await
    }

    /// Submits a sweep file alone.
    pub(crate) async fn submit(&self, text: &str) -> (StatusCode, Value) {
        let request = self.request(Method::POST, "/api/v1/sweeps");
        answer(request.header("content-type", "application/yaml").body(text.to_owned())).await
    }

    /// Trains everything there is with the fake trainer.
    pub(crate) async fn train(&self) {
        let trainers = Arc::new(|inputs| {
            let behaviour = "fake".parse().unwrap();
            Box::new(FakeTrainer::new(behaviour, inputs)) as Box<dyn Trainer>
        });
        let poll = Duration::from_millis(5);
        let policy = Policy { poll, poll_min: poll, poll_max: 4 * poll, ..Policy::default() };
        let options = Options { slots: 2, policy, ..Options::default() };
        let stop = CancellationToken::new();
        let blobs = Blobs::directory(&self.blobs).unwrap();
        let work = tokio::spawn(
            Worker::new(self.store.clone(), blobs, trainers, options).run(stop.clone()),
        );
        let waiting = async {
            while self.json("/api/v1/demand").await["wanted"] != 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the runs do not end");
        stop.cancel();
        work.await.unwrap().unwrap();
    }

    /// Stops in an orderly way.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        let serving = self.serving.take().unwrap();
        tokio::time::timeout(PATIENCE, serving).await.expect("it does not stop").unwrap().unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Status and JSON of an answer.
pub(crate) async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Runs a test on a store in memory, and on a real Redis where there is one.
pub(crate) async fn on_both(test: impl AsyncFn(&World)) {
    let world = World::in_memory(&[]).await;
    test(&world).await;
    world.end().await;
    if let Some(server) = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]) {
        let store = AnyStore::open(&server.url("cuda")).unwrap();
        let mut world = World::over(store, &[]).await;
        world._server = Some(Arc::new(server));
        test(&world).await;
        world.end().await;
    }
}

/// A data set that is not built in.
pub(crate) fn info(name: &str) -> DataSetInfo {
    DataSetInfo {
        name: name.to_owned(),
        title: name.to_owned(),
        classes: vec!["even".to_owned(), "odd".to_owned()],
        train: vec![50, 50],
        val: vec![20, 20],
        content: Digest::of(name.as_bytes()),
        split: Digest::of(format!("{name} split").as_bytes()),
        channels: 1,
        fixed_size: Some(8),
        warnings: Vec::new(),
    }
}
