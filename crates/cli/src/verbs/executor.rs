//! `tidemill executor`: runs one executor on its stdin and stdout.

use crate::{signals, wiring};
use tidemill_executor::Wiring;
use tidemill_model::Result;

pub(crate) fn run() -> Result<()> {
    signals::ignore()?;
    let wiring = Wiring {
        readers: Box::new(wiring::readers),
        dead_letters: Box::new(wiring::dead_letters),
        sinks: Box::new(wiring::sink_writers),
    };
    tidemill_executor::run(std::io::stdin(), std::io::stdout(), &wiring)
}
