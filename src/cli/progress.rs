//! Long work shows that it goes on: on a terminal, on stderr, and nowhere else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::say;

/// A bar, or a spinner where the end is not known; nothing where stderr is no terminal.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Work of so many steps.
    pub fn of(steps: u64, what: &'static str) -> Self {
        let style = "{msg} [{bar:32}] {human_pos} of {human_len}, {eta} left";
        Self::start(ProgressBar::new(steps), style, what)
    }

    /// Work whose steps are counted, with no known end.
    pub fn counting(what: &'static str) -> Self {
        Self::start(ProgressBar::new_spinner(), "{spinner} {msg} {human_pos}", what)
    }

    /// Work without steps.
    pub fn waiting(what: &'static str) -> Self {
        Self::start(ProgressBar::new_spinner(), "{spinner} {msg} ({elapsed})", what)
    }

    /// No sign at all.
    pub fn none() -> Self {
        Progress { bar: ProgressBar::hidden() }
    }

    fn start(bar: ProgressBar, style: &str, what: &'static str) -> Self {
        let style = ProgressStyle::with_template(style).expect("the template is constant");
        bar.set_style(style.progress_chars("=> "));
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(120));
        Progress { bar }
    }

    /// Some steps are done.
    pub fn done(&self, steps: u64) {
        self.bar.inc(steps);
    }

    /// Says something without tearing the bar.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| say(text));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
