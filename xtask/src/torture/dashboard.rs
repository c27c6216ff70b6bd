//! The dashboard of the pipeline under torture, through `tidemill ctl`.

use crate::embedded::binary;
use crate::sh::{self, Outcome, command};

/// Its port on loopback.
#[derive(Clone, Copy)]
pub struct Dashboard(pub u16);

impl Dashboard {
    /// Pins the size, or unpins it; false if no driver accepts the command.
    pub fn pin(self, size: Option<u64>) -> bool {
        match size {
            Some(size) => self.ctl(&["pin", &size.to_string()]).is_ok(),
            None => self.ctl(&["unpin"]).is_ok(),
        }
    }

    /// The pipeline's status, as JSON.
    pub fn status(self) -> Outcome<String> {
        self.ctl(&["status", "--json"])
    }

    fn ctl(self, args: &[&str]) -> Outcome<String> {
        let address = format!("127.0.0.1:{}", self.0);
        sh::read(&mut command(binary(), &[&["ctl"], args, &["--dashboard", &address]].concat()))
    }
}
