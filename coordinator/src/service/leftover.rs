//! Bodies that nobody read to their end. A server that answers early and hangs up makes its client see a broken connection instead of
//! the answer; so what is left is read for a moment, within bounds, while the answer goes out.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

/// Bytes read for nothing at most: a larger body costs its connection.
const MOST: usize = 1 << 20;
/// How long at most.
const LONGEST: Duration = Duration::from_secs(5);

/// Lets bodies be read on after their request was answered.
pub(crate) async fn read_on(request: Request, next: Next) -> Response {
    let request = request.map(|body| {
        if body.is_end_stream() {
            body
        } else {
            Body::from_stream(LeftOver(Some(body.into_data_stream())))
        }
    });
    next.run(request).await
}

/// A body that is read on when it is dropped before its end.
struct LeftOver(Option<BodyDataStream>);

impl Stream for LeftOver {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let polled = body.poll_next_unpin(cx);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.0 = None;
        }
        polled
    }
}

impl Drop for LeftOver {
    fn drop(&mut self) {
        // Outside a runtime there is no connection either.
        if let (Some(mut body), Ok(runtime)) =
            (self.0.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(tokio::time::timeout(LONGEST, async move {
                let mut left = MOST;
                while let Some(Ok(piece)) = body.next().await {
                    match left.checked_sub(piece.len()) {
                        Some(less) => left = less,
                        None => return,
                    }
                }
            }));
        }
    }
}
