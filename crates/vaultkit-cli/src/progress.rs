//! The progress bar: for big inputs, on a terminal, with rate and time left.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::Report;

/// Inputs from this length on are worth a bar: 64 MiB take a few hundredths of a second.
const FROM_LEN: u64 = 64 << 20;

/// Counts bytes; shows them if somebody looks.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar for `expected` bytes, or a running count where nobody knows how many there will be.
    pub(crate) fn start(report: &Report, doing: &'static str, expected: Option<u64>) -> Self {
        let is_small = expected.is_some_and(|len| len < FROM_LEN);
        if is_small || !report.allows_progress() || !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let template = match expected {
            Some(_) => {
                "{msg} {bar:30} {percent:>3} %  {decimal_bytes} of {decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left"
            }
            None => "{msg} {decimal_bytes}  {decimal_bytes_per_sec}  {elapsed}",
        };
        let bar = ProgressBar::with_draw_target(expected, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar.with_message(doing))
    }

    /// To be told of every piece that is done, from any thread.
    pub(crate) fn counter(&self) -> impl Fn(u64) + Sync + '_ {
        |bytes| self.0.inc(bytes)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
