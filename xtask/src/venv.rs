//! Pinned Python environments of the references, each in a separate folder. `venv`: that of the clients that check the
//! broker.

use crate::sh::{self, Outcome, command};
use std::path::{Path, PathBuf};

/// The Python of the environment with the broker's reference clients.
///
/// The error says why it cannot be created.
pub fn ensure() -> Outcome<PathBuf> {
    made("venv", "xtask/reference/requirements.txt")
}

/// The Python of an environment.
pub fn python_of(dir: &Path) -> PathBuf {
    dir.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}

/// The Python of `target/references/NAME`, with the packages of the file of pins. Created on first use and when the
/// pins change.
///
/// The error says why it cannot be created.
pub fn made(name: &str, pins: &str) -> Outcome<PathBuf> {
    let dir = sh::target().join("references").join(name);
    let python = python_of(&dir);
    let pins = sh::root().join(pins);
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
        .map_err(|error| format!("{error}\nits packages come from PyPI: see that pip can reach it"))?;
    sh::write_file(&stamp, &wanted)?;
    Ok(python)
}
