//! `venv`: the Python clients that judge the broker, pinned, in a folder of their own.

use crate::sh::{self, Outcome, command};
use std::path::PathBuf;

/// The Python that has the clients; made on first use, and again when the pins change.
///
/// The error says why it cannot be had here.
pub fn ensure() -> Outcome<PathBuf> {
    let dir = sh::target().join("judges/venv");
    let python = dir.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let pins = sh::root().join("xtask/judges/requirements.txt");
    let wanted = sh::read_file(&pins)?;
    let stamp = dir.join("installed.txt");
    if python.exists() && std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    if !sh::has("python3", "--version") {
        return Err("there is no python3; install Python 3.9 or newer with its venv module".into());
    }
    let dir = dir.to_string_lossy();
    sh::read(&mut command("python3", &["-m", "venv", "--clear", &dir]))
        .map_err(|error| format!("{error}\ninstall Python's venv module (Debian: apt-get install python3-venv)"))?;
    sh::read(&mut command(&python, &["-m", "pip", "install", "--quiet", "--requirement", &pins.to_string_lossy()]))
        .map_err(|error| format!("{error}\nthe clients come from PyPI: see that pip can reach it"))?;
    sh::write_file(&stamp, &wanted)?;
    Ok(python)
}
