//! Connections: how many at a time, how long a client may take to ask, and how they end.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A client that has not sent the head of its request by then is gone; also how long an idle connection is kept.
const HEAD: Duration = Duration::from_secs(30);
/// Bytes of a request's head at most.
const HEAD_MAX: usize = 64 * 1024;
/// Header lines of a request at most.
const HEADERS_MAX: usize = 64;
/// Requests in hand get so long to end after the stop.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);
/// After a refusal of the system to take a connection (no descriptors left).
const AGAIN: Duration = Duration::from_millis(200);

/// Serves until `stop`, at most `most` connections at a time; further ones wait in the system's line.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    most: usize,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            taken = listener.accept(), if connections.len() < most => match taken {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be taken");
                    tokio::time::sleep(AGAIN).await;
                }
            },
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, ended).await.is_err() {
        tracing::warn!("{} connections did not end in time and are cut off", connections.len());
    }
    Ok(())
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    // Small frames of events must not wait for more.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX);
    let mut connection =
        pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients go away all the time.
        tracing::debug!(%error, "a connection broke off");
    }
}
