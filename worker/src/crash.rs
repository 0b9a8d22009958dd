//! Places where a test lets a worker die: before and after each word whose loss must cost nothing.

/// What a worker is about to do, or has just done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "named in production, read by tests"))]
pub(crate) enum Point {
    /// A checkpoint is about to be stored.
    BeforeBlob,
    /// It is durable; nobody knows of it.
    BlobDurable,
    /// Its pointer is about to be told.
    BeforePointer,
    /// The store knows it; the worker does not know that.
    PointerSent,
    /// The end of an attempt is about to be told.
    BeforeFinish,
    /// The store knows it; the worker does not know that.
    FinishSent,
    /// The answer was read; nothing is left to do for this run.
    ReplyRead,
}

/// Where this worker dies, in tests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crash {
    #[cfg(test)]
    pub(crate) at: Option<Point>,
    #[cfg(test)]
    pub(crate) died: tokio_util::sync::CancellationToken,
}

impl Crash {
    /// Goes on, except in a worker that dies here: it never says another word.
    #[cfg(test)]
    pub(crate) async fn reached(&self, point: Point) {
        if self.died.is_cancelled() || self.at == Some(point) {
            self.died.cancel();
            std::future::pending::<()>().await;
        }
    }

    /// Goes on.
    #[cfg(not(test))]
    #[expect(clippy::unused_async, reason = "waits for ever in tests")]
    pub(crate) async fn reached(&self, _point: Point) {}
}
