//! Ctrl-C and SIGTERM in two steps: the first asks for an orderly stop, the second leaves at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `stop` at the first signal and exits with 130 at the second.
///
/// # Errors
/// When the system refuses a signal handler.
pub(crate) fn on_signals(
    stop: CancellationToken,
    first: impl Fn() + Send + 'static,
) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        wait(&mut interrupt, &mut terminate).await;
        first();
        stop.cancel();
        wait(&mut interrupt, &mut terminate).await;
        eprintln!("\nleft at once; the same command goes on from the last checkpoints");
        std::process::exit(130);
    });
    Ok(())
}

async fn wait(
    interrupt: &mut tokio::signal::unix::Signal,
    terminate: &mut tokio::signal::unix::Signal,
) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
