//! Runs other programs, and knows the paths of the project.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Result of a verb. The error is a sentence: what is wrong and what to do.
pub type Outcome<T = ()> = Result<T, String>;

/// The workspace's root directory.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the workspace").to_path_buf()
}

/// The build directory: `target` or `CARGO_TARGET_DIR`. It also holds downloads of the tasks.
pub fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// A command that runs in the workspace's root.
pub fn command(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root()).stdin(Stdio::null());
    command
}

/// The cargo that runs this program.
pub fn cargo(args: &[&str]) -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), args)
}

/// Prints the command and runs it; its output is shown.
pub fn run(command: &mut Command) -> Outcome {
    let line = line(command);
    eprintln!("$ {line}");
    let status = command.status().map_err(|error| format!("cannot run `{line}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` failed ({status})")) }
}

/// Runs a program and returns what it prints.
pub fn read(command: &mut Command) -> Outcome<String> {
    let line = line(command);
    let output = command.output().map_err(|error| format!("cannot run `{line}`: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("`{line}` failed ({}):\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end()))
}

/// Whether a program can be run.
pub fn has(program: &str, version_flag: &str) -> bool {
    let quiet = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet(&mut command(program, &[version_flag])).is_ok_and(|status| status.success())
}

/// Reads a file.
pub fn read_file(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Writes a file and the directories above it.
pub fn write_file(path: &Path, text: &str) -> Outcome {
    let cannot = |error| format!("cannot write {}: {error}", path.display());
    std::fs::create_dir_all(path.parent().expect("a file lies in a directory")).map_err(cannot)?;
    std::fs::write(path, text).map_err(cannot)
}

fn line(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let root = format!("{}/", root().display());
    words.map(|word| word.to_string_lossy().replace(&root, "")).collect::<Vec<_>>().join(" ")
}
