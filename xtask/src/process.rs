//! Commands that are shown before they run, and what their failure says.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Why an xtask command ends without success, in words for whoever ran it.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

/// A command with its arguments and the variables set for it. Displays as a shell would take it.
#[derive(Debug)]
#[must_use = "a command does nothing until it is run"]
pub(crate) struct Cmd {
    program: String,
    args: Vec<String>,
    envs: Vec<(&'static str, String)>,
}

impl Cmd {
    pub(crate) fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), args: Vec::new(), envs: Vec::new() }
    }

    /// `cargo` with a subcommand.
    pub(crate) fn cargo(subcommand: &str) -> Self {
        Self::new("cargo").args([subcommand])
    }

    pub(crate) fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.envs.push((name, value.into()));
        self
    }

    /// Runs the command to its end; its output goes where ours goes.
    pub(crate) fn run(&self) -> Result {
        let status = self.status(Stdio::inherit(), |_| {})?;
        self.judge(status)
    }

    /// Runs the command and returns its standard output.
    pub(crate) fn output(&self) -> Result<String> {
        let mut output = String::new();
        let status = self.status(Stdio::piped(), |line| output.push_str(line))?;
        self.judge(status)?;
        Ok(output)
    }

    /// Runs the command, shows its standard output as it comes and hands each line to `on_line`.
    /// Returns whether it ended with success.
    pub(crate) fn watch(&self, mut on_line: impl FnMut(&str)) -> Result<bool> {
        let status = self.status(Stdio::piped(), |line| {
            print!("{line}");
            on_line(line);
        })?;
        Ok(status.success())
    }

    fn status(&self, stdout: Stdio, mut on_line: impl FnMut(&str)) -> Result<ExitStatus> {
        eprintln!("$ {self}");
        let mut child = self.spawn(stdout)?;
        if let Some(pipe) = child.stdout.take() {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            // Bytes, not `lines()`: what a test prints need not be UTF-8.
            while pipe.read_until(b'\n', &mut line).map_err(|e| self.failed(&e))? > 0 {
                on_line(&String::from_utf8_lossy(&line));
                line.clear();
            }
        }
        child.wait().map_err(|error| self.failed(&error))
    }

    fn spawn(&self, stdout: Stdio) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdout(stdout);
        // `cargo run` describes xtask's package in variables. Build scripts that watch these
        // (ring's does) would be built anew at every change between `cargo xtask` and `cargo`.
        for (name, _) in std::env::vars_os() {
            if describes_a_package(&name.to_string_lossy()) {
                command.env_remove(name);
            }
        }
        for (name, value) in &self.envs {
            command.env(name, value);
        }
        command.spawn().map_err(|error| self.failed(&error))
    }

    fn judge(&self, status: ExitStatus) -> Result {
        if status.success() {
            return Ok(());
        }
        Err(self.failed(&status))
    }

    fn failed(&self, why: &dyn fmt::Display) -> Failure {
        Failure::new(format!("`{self}` failed: {why}"))
    }
}

impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.envs {
            write!(f, "{name}={} ", quoted(value))?;
        }
        f.write_str(&quoted(&self.program))?;
        for arg in &self.args {
            write!(f, " {}", quoted(arg))?;
        }
        Ok(())
    }
}

/// As a shell takes it: in quotes where it must be.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn describes_a_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| variable.starts_with(prefix))
}

/// Where a program is: on the `PATH`, or where Debian puts servers. The `PATH` of a user other than
/// root leaves those folders out, and everybody's the ones of Postgres, one for each major version.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .chain(versions.map(|version| version.path().join("bin")))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_takes_it() {
        let command = Cmd::cargo("doc").args(["-p", "linkly-core", "it's"]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(command.to_string(), r"RUSTDOCFLAGS='-D warnings' cargo doc -p linkly-core 'it'\''s'");
    }

    #[test]
    fn output_is_what_the_command_wrote_and_its_variables_reach_it() {
        let command = Cmd::new("sh").args(["-c", "echo one; printf \"$TWO\""]).env("TWO", "2");
        assert_eq!(command.output().expect("sh runs"), "one\n2");
    }

    #[test]
    fn a_failing_command_says_which_and_how() {
        let failure = Cmd::new("sh").args(["-c", "exit 3"]).run().expect_err("exit 3");
        assert_eq!(failure.to_string(), "`sh -c 'exit 3'` failed: exit status: 3");
        let absent = Cmd::new("no-such-program").run().expect_err("not there");
        assert!(absent.to_string().starts_with("`no-such-program` failed: "));
    }

    #[test]
    fn watching_sees_every_line_also_of_a_command_that_fails_or_prints_bytes() {
        let mut lines = Vec::new();
        let ended_well = Cmd::new("sh")
            .args(["-c", r"printf 'a\n\377\nb'; exit 1"])
            .watch(|line| lines.push(line.trim_end().to_owned()))
            .expect("sh runs");
        assert!(!ended_well);
        assert_eq!(lines, ["a", "\u{fffd}", "b"]);
    }

    #[test]
    fn the_variables_that_describe_xtask_do_not_reach_a_command() {
        // `cargo test` sets them for this test, as `cargo run` does for xtask.
        assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
        let seen =
            Cmd::new("sh").args(["-c", "printf \"$CARGO_PKG_NAME$CARGO_MANIFEST_DIR\""]).output().expect("sh runs");
        assert_eq!(seen, "");
    }

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program").is_none());
    }
}
