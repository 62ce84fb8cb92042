//! Output: bars and lines on a terminal, only lines elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Standard output. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Display {
    bars: MultiProgress,
    terminal: bool,
    started: Instant,
}

impl Display {
    /// Checks whether standard output is a terminal.
    pub(crate) fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self { bars: MultiProgress::new(), terminal, started: Instant::now() }
    }

    /// Whether standard output is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Prints a line with the seconds since the start, above the bars.
    pub(crate) fn say(&self, text: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        self.print(&format!("{seconds:7.1} s  {text}"));
    }

    /// Prints lines above the bars.
    pub(crate) fn print(&self, text: &str) {
        // A closed standard output must not end the lab before it has cleaned up.
        self.bars.suspend(|| drop(writeln!(std::io::stdout(), "{text}")));
    }

    /// Starts a task with a spinner.
    pub(crate) fn step(&self, name: &str) -> Task {
        let bar = if self.terminal {
            let bar = self.bars.add(ProgressBar::no_length());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        } else {
            ProgressBar::hidden()
        };
        bar.set_style(spinner());
        bar.set_prefix(name.to_owned());
        Task { display: self.clone(), bar, name: name.to_owned() }
    }
}

/// A task with a spinner or a bar, which disappears when dropped.
pub(crate) struct Task {
    display: Display,
    bar: ProgressBar,
    name: String,
}

impl Task {
    /// Sets the current activity.
    pub(crate) fn say(&self, what: &str) {
        if self.display.terminal {
            self.bar.set_message(what.to_owned());
        } else {
            self.display.say(&format!("{}: {what}", self.name));
        }
    }

    /// Shows a bar of this length instead of the spinner.
    pub(crate) fn length(&self, length: u64) {
        self.bar.set_length(length);
        self.bar.set_style(bar());
    }

    /// Sets the position of the bar; without a terminal, prints nothing.
    pub(crate) fn at(&self, position: u64, what: &str) {
        self.bar.set_position(position);
        self.bar.set_message(what.to_owned());
    }

    /// Shows a bar for a percentage, a spinner for `None`; without a terminal, prints nothing.
    pub(crate) fn show(&self, percent: Option<u64>, what: &str) {
        match percent {
            Some(percent) if self.bar.length().is_none() => {
                self.length(100);
                self.bar.set_position(percent);
            }
            Some(percent) => self.bar.set_position(percent),
            None if self.bar.length().is_some() => {
                self.bar.unset_length();
                self.bar.set_style(spinner());
            }
            None => {}
        }
        self.bar.set_message(what.to_owned());
    }

    /// Ends the task with a line.
    pub(crate) fn done(self, result: &str) {
        self.bar.finish_and_clear();
        self.display.say(&format!("{}: {result}", self.name));
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn spinner() -> ProgressStyle {
    style("{spinner} {prefix:12} {msg} {elapsed}")
}

fn bar() -> ProgressStyle {
    style("{spinner} {prefix:12} [{bar:30}] {percent:3} % {msg}")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
