//! The demo's output: shows the phase and messages on the view.

use crate::view::{Mode, View};
use std::sync::mpsc::Receiver;
use std::time::Duration;
use tidemill_model::status::Status;

pub(crate) struct Display {
    view: Option<View>,
    /// Messages of the driver's thread.
    said: Option<Receiver<String>>,
    phase: (&'static str, &'static str),
    /// Shown all the time.
    dashboard: String,
}

impl Display {
    pub(crate) fn open(headless: bool) -> Display {
        let mode = if headless { Mode::Plain } else { Mode::Auto };
        Display {
            view: Some(View::start("tidemill demo", mode)),
            said: None,
            phase: ("", ""),
            dashboard: String::new(),
        }
    }

    /// Sets the source of messages of another thread.
    pub(crate) fn listen(&mut self, said: Receiver<String>) {
        self.said = Some(said);
    }

    /// Sets the URL of the dashboard.
    pub(crate) fn dashboard(&mut self, url: &str) {
        self.say(&format!("dashboard on {url}"));
        self.dashboard = format!(" · dashboard on {url}");
    }

    /// Announces a phase.
    pub(crate) fn phase(&mut self, name: &'static str, text: &'static str) {
        self.phase = (name, text);
    }

    pub(crate) fn say(&mut self, text: &str) {
        if let Some(view) = &mut self.view {
            view.note(text);
        }
    }

    pub(crate) fn update(&mut self, status: &Status, elapsed: Duration) {
        while let Some(text) = self.said.as_ref().and_then(|said| said.try_recv().ok()) {
            self.say(&text);
        }
        let (name, text) = self.phase;
        if let Some(view) = &mut self.view {
            view.update(
                status,
                &[format!("{name}: {text}"), format!("second {} of the demo{}", elapsed.as_secs(), self.dashboard)],
            );
        }
    }

    /// Restores the terminal.
    pub(crate) fn close(&mut self) {
        if let Some(view) = self.view.take() {
            view.finish();
        }
    }
}
