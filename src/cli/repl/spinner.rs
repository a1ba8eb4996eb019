//! A sign of life on stderr while a statement takes longer than a second.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(1);

/// Shown after a second, gone when stopped or dropped.
pub struct Spinner {
    bar: ProgressBar,
    timer: JoinHandle<()>,
}

impl Spinner {
    /// Begins to wait; only ever shows on a terminal.
    pub fn start() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{spinner} {elapsed}{msg}, Ctrl-C cancels");
        bar.set_style(style.expect("the template is well-formed"));
        let timer = tokio::spawn({
            let bar = bar.clone();
            async move {
                tokio::time::sleep(PATIENCE).await;
                bar.set_draw_target(ProgressDrawTarget::stderr());
                bar.enable_steady_tick(Duration::from_millis(100));
            }
        });
        Spinner { bar, timer }
    }

    /// Tells how many rows there are so far.
    pub fn rows(&self, rows: usize) {
        self.bar.set_message(format!(", {rows} rows"));
    }

    /// Makes room for output.
    pub fn stop(&self) {
        self.timer.abort();
        self.bar.finish_and_clear();
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.stop();
    }
}
