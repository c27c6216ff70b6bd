//! The terminal: taken for the live page, and restored in every case.
//!
//! The page uses the alternate screen, so the previous content returns afterwards. Each frame is one write of all
//! lines, which also overwrites what somebody types. Colours are the terminal's own sixteen; `NO_COLOR` is respected.

use super::frame::{Line, Tone};
use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate,
    EnterAlternateScreen, LeaveAlternateScreen, size,
};
use crossterm::{execute, queue};
use std::io::{Write, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// Assumed size of a terminal that does not report one.
const SIZE: (u16, u16) = (80, 24);

/// Whether the alternate screen is active.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The right to draw. Dropping it restores the terminal.
pub(super) struct Terminal(());

impl Terminal {
    /// Takes the terminal. A panic of any thread restores it before the message is printed.
    pub(super) fn enter() -> Terminal {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                before(panic);
            }));
        });
        TAKEN.store(true, Ordering::SeqCst);
        // A terminal that cannot be written to does not stop the run.
        let _ = execute!(stdout(), EnterAlternateScreen, Hide, DisableLineWrap);
        Terminal(())
    }

    /// Columns and rows to draw on. Read for each frame, so a resize needs no event. The last column stays free:
    /// terminals differ in what they do after a full line.
    pub(super) fn size(&self) -> (usize, usize) {
        let (width, height) = size().ok().filter(|&(width, height)| width > 0 && height > 0).unwrap_or(SIZE);
        (usize::from(width) - 1, usize::from(height))
    }

    /// Draws a frame, if the terminal is still ours.
    pub(super) fn draw(&self, frame: &[Line]) {
        let mut bytes = Vec::with_capacity(8192);
        let _ = queue!(bytes, BeginSynchronizedUpdate);
        for (row, line) in (0..).zip(frame) {
            let _ = queue!(bytes, MoveTo(0, row));
            paint(&mut bytes, line);
            let _ = queue!(bytes, Clear(ClearType::UntilNewLine));
        }
        // The cursor rests at the top: a return typed there cannot scroll the page.
        let rest = u16::try_from(frame.len()).unwrap_or(u16::MAX);
        if frame.len() < self.size().1 {
            let _ = queue!(bytes, MoveTo(0, rest), Clear(ClearType::FromCursorDown));
        }
        let _ = queue!(bytes, MoveTo(0, 0), EndSynchronizedUpdate);
        write(&bytes, true);
    }

    /// Restores the terminal.
    pub(super) fn leave(self) {}
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Restores the terminal if a live view has it. For code that ends the process.
pub(crate) fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // Cleared first: a terminal that was resized may otherwise merge its content into the previous one.
        let _ = execute!(stdout(), EnableLineWrap, Clear(ClearType::All), LeaveAlternateScreen, Show);
    }
}

/// Prints a frame as lines, below the current content.
pub(super) fn print(frame: &[Line]) {
    let mut bytes = Vec::with_capacity(8192);
    let used = frame.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
    for line in &frame[..used] {
        paint(&mut bytes, line);
        bytes.push(b'\n');
    }
    write(&bytes, false);
}

fn paint(bytes: &mut Vec<u8>, line: &Line) {
    let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    for span in line {
        let _ = match span.tone {
            Tone::Plain => Ok(()),
            Tone::Strong => queue!(bytes, SetAttribute(Attribute::Bold)),
            Tone::Quiet => queue!(bytes, SetAttribute(Attribute::Dim)),
            _ if !colours => Ok(()),
            Tone::In => queue!(bytes, SetForegroundColor(Color::Blue)),
            Tone::Done => queue!(bytes, SetForegroundColor(Color::Green)),
            Tone::Backlog => queue!(bytes, SetForegroundColor(Color::Yellow)),
            Tone::Fleet => queue!(bytes, SetForegroundColor(Color::Magenta)),
        };
        let _ = queue!(bytes, Print(&span.text));
        if span.tone != Tone::Plain {
            let _ = queue!(bytes, SetAttribute(Attribute::Reset), ResetColor);
        }
    }
}

fn write(bytes: &[u8], only_if_taken: bool) {
    let mut out = stdout().lock();
    if !only_if_taken || TAKEN.load(Ordering::SeqCst) {
        let _ = out.write_all(bytes);
        let _ = out.flush();
    }
}
