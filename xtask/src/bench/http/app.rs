//! An app as a process.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::process::{Cmd, Failure, Result};

/// Of a processor's second, as `/proc` counts them: the same on every Linux.
const TICKS: f64 = 100.0;

/// A server of ours. Killed when it is dropped.
pub(super) struct App {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(super) url: String,
}

impl App {
    /// Starts a binary of the examples in a folder, with these variables.
    pub(super) fn start(bin: &str, folder: &Path, envs: &[(&str, &str)]) -> Result<Self> {
        let failed = |error: std::io::Error| Failure::new(format!("{bin}: {error}"));
        let program = std::env::current_dir().map_err(failed)?.join("target/release").join(bin);
        let mut child = Command::new(program)
            .current_dir(folder)
            .env_remove("DATABASE_URL")
            .env_remove("LINKLY_SPOOL")
            .env("LINKLY_ADDR", "127.0.0.1:0")
            .envs(envs.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let stdout = child.stdout.take().ok_or_else(|| Failure::new(format!("{bin}: no output")))?;
        let mut app = Self { child, lines: BufReader::new(stdout).lines(), url: String::new() };
        let first = app.lines.next().transpose().map_err(failed)?.unwrap_or_default();
        let url = first.strip_prefix("listening on ").map(str::to_owned);
        app.url = url.ok_or_else(|| Failure::new(format!("{bin} said {first:?}")))?;
        Ok(app)
    }

    /// Seconds of a processor that it took until now.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let unclear = || Failure::new(format!("/proc does not say what {} took", self.child.id()));
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).map_err(|_| unclear())?;
        ticks(&stat).map(|ticks| ticks as f64 / TICKS).ok_or_else(unclear)
    }

    /// MiB of memory that it has.
    pub(super) fn memory(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        kib.map(|kib| kib / 1_024.0)
            .ok_or_else(|| Failure::new(format!("/proc does not say what {} has", self.child.id())))
    }

    /// Stops it with SIGTERM, and answers with its last line.
    pub(super) fn stop(mut self) -> Result<String> {
        Cmd::new("kill").args(["-TERM", &self.child.id().to_string()]).run()?;
        let last = self.lines.by_ref().map_while(std::io::Result::ok).last().unwrap_or_default();
        let _ = self.child.wait();
        Ok(last)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of its own and of the kernel for it: the 14th and 15th field. The second, its name, may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11).map(|field| field.parse::<u64>().ok());
    Some(fields.next()?? + fields.next()??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_process_is_read_whatever_its_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 900 0 0 0 250 50 0 0 20 0 3 0 100 1000 100";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("7"), None);
    }
}
