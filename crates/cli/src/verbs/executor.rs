//! `tidemill executor`: one executor, on its stdin and stdout.

use crate::{signals, wiring};
use tidemill_executor::Readers;
use tidemill_model::Result;

pub(crate) fn run() -> Result<()> {
    signals::ignore()?;
    let readers: Readers = Box::new(wiring::reader);
    tidemill_executor::run(std::io::stdin(), std::io::stdout(), &readers)
}
