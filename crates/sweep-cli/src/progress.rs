//! Progress bars on standard error: silent when it is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use sweep_data::{Fetching, Progress};

/// Progress over the files of a data set.
pub(crate) struct Files(ProgressBar);

impl Files {
    pub(crate) fn new(verb: &'static str) -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        bar.set_prefix(verb);
        Self(bar)
    }

    pub(crate) fn report(&self, progress: &Progress<'_>) {
        self.0.set_length(progress.total as u64);
        self.0.set_position(progress.done as u64);
    }

    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// Progress of downloads; nothing is shown where nothing is downloaded.
pub(crate) struct Bytes(ProgressBar);

impl Bytes {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::no_length();
        let style = ProgressStyle::with_template(
            "fetching {prefix} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        Self(bar)
    }

    pub(crate) fn report(&self, fetching: &Fetching<'_>) {
        let name = fetching.url.split('/').nth(2).unwrap_or(fetching.url);
        self.0.set_prefix(name.to_owned());
        if let Some(total) = fetching.total {
            self.0.set_length(total);
        }
        self.0.set_position(fetching.done);
    }

    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
