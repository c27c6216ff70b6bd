//! The output of a running pipeline: a live page on a terminal, plain lines anywhere else.
//!
//! ```text
//! Status, lines of the verb ──► SampleHistory (a sample a second) ──► frame: lines of styled text ──► terminal: one
//! write
//!                          └──► plain: lines for logs and scripts
//! ```
//!
//! `frame`, `plain`, `samples` and `text` are pure. Only `terminal` touches the terminal; it restores it at the end, on
//! a panic and on a second Ctrl-C. Keys are not read, so Ctrl-C keeps its meaning.

mod frame;
mod plain;
mod samples;
mod terminal;
mod text;

use frame::Screen;
use plain::Plain;
use samples::SampleHistory;
use std::io::{IsTerminal, Write};
use terminal::Terminal;
pub(crate) use terminal::restore as restore_terminal;
use tidemill_model::status::Status;

/// Number of notes on a live page.
const NOTES_MAX: usize = 3;

/// The requested view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Live if stdout is a terminal, else plain.
    Auto,
    /// Plain lines, also on a terminal.
    Plain,
}

/// The view of one run.
pub(crate) enum View {
    /// A live page; holds the terminal until [`View::finish`].
    Live(Live),
    /// Lines on stdout.
    Lines(Plain),
}

/// State of a live page.
pub(crate) struct Live {
    title: String,
    terminal: Terminal,
    samples: SampleHistory,
    notes: Vec<String>,
    last: Option<(Status, Vec<String>)>,
}

impl View {
    /// Starts the view; `title` names the run.
    pub(crate) fn start(title: &str, mode: Mode) -> View {
        if mode == Mode::Plain || !std::io::stdout().is_terminal() {
            return View::Lines(Plain::new());
        }
        View::Live(Live {
            title: title.to_string(),
            terminal: Terminal::enter(),
            samples: SampleHistory::default(),
            notes: Vec::new(),
            last: None,
        })
    }

    /// Shows a snapshot, a few times a second. `extra` are lines of the verb: first the demo's phase, then lines that
    /// change all the time and appear only on the live page.
    pub(crate) fn update(&mut self, status: &Status, extra: &[String]) {
        match self {
            View::Live(live) => live.update(status, extra),
            View::Lines(plain) => print_lines(&plain.update(status, extra)),
        }
    }

    /// Shows a message, one sentence.
    pub(crate) fn note(&mut self, text: &str) {
        match self {
            View::Live(live) => live.note(text),
            View::Lines(plain) => print_lines(&[plain.note(text)]),
        }
    }

    /// Restores the terminal and prints the last frame.
    pub(crate) fn finish(self) {
        match self {
            View::Live(live) => live.finish(),
            View::Lines(mut plain) => print_lines(&plain.finish()),
        }
    }
}

impl Live {
    fn update(&mut self, status: &Status, extra: &[String]) {
        self.samples.add(status);
        self.last = Some((status.clone(), extra.to_vec()));
        let (width, height) = self.terminal.size();
        if let Some(frame) = self.frame(width, height) {
            self.terminal.draw(&frame);
        }
    }

    fn note(&mut self, text: &str) {
        self.notes.push(text.to_string());
        if self.notes.len() > NOTES_MAX {
            self.notes.remove(0);
        }
    }

    fn finish(self) {
        let (width, height) = self.terminal.size();
        let frame = self.frame(width, height);
        self.terminal.leave();
        if let Some(frame) = frame {
            terminal::print(&frame);
        }
    }

    fn frame(&self, width: usize, height: usize) -> Option<Vec<frame::Line>> {
        let (status, extra) = self.last.as_ref()?;
        let scene = Screen { title: &self.title, status, extra, notes: &self.notes, samples: &self.samples };
        Some(frame::render(&scene, width, height))
    }
}

/// Prints lines. A reader that went away (`| head`) does not stop the run.
fn print_lines(lines: &[String]) {
    let mut out = std::io::stdout().lock();
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
    let _ = out.flush();
}
