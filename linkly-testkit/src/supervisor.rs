//! The supervisor of a server: a shell that outlives the test process by the moment it takes to kill
//! the server and remove its folder.
//!
//! `Drop` alone is not enough: statics are never dropped, and a test process that is killed drops
//! nothing. What the kernel does in every case is to close the process's pipes, and the supervisor
//! reads from one.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use crate::account::Account;
use crate::program::Program;

const SCRIPT: &str = include_str!("supervisor.sh");
/// A program starts only when its supervisor knows of it: else a test process that is killed between the
/// two would leave it behind. If it is, `read` fails and the shell ends.
const WHEN_TOLD: &str = r#"read -r go && exec "$@" </dev/null"#;

/// A folder, and what runs in it: one program at a time.
#[derive(Debug)]
pub(crate) struct Supervisor {
    folder: PathBuf,
    shell: Child,
    /// `None` when the shell has been told to end.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    running: Option<Child>,
}

impl Supervisor {
    /// Makes a temporary folder, for the account if there is one.
    pub(crate) fn start(name: &str, account: Option<Account>) -> Self {
        let prefix = format!("linkly-{name}-");
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir();
        let folder = folder.unwrap_or_else(|error| panic!("no temporary folder for {name}: {error}"));
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "supervisor"])
            .arg(folder.path())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal is for the tests; what they leave is cleared away after them.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("no shell to supervise {name}: {error}"));
        let commands = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().expect("it is piped"));
        // From here on it is the supervisor's to remove.
        let folder = folder.keep();
        if let Some(account) = account {
            chown(&folder, Some(account.uid), Some(account.gid))
                .unwrap_or_else(|error| panic!("cannot give {} away: {error}", folder.display()));
        }
        Self { folder, shell, commands, answers, running: None }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the programs' output goes.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Starts a program. It ends with the supervisor.
    pub(crate) fn launch(&mut self, program: &Program) {
        assert!(self.running.is_none(), "{program} is to start where another one runs");
        let mut command = Command::new("sh");
        command
            .args(["-c", WHEN_TOLD, "sh"])
            .arg(&program.path)
            .args(&program.args)
            .current_dir(&self.folder)
            // Messages are read: whether a port was taken.
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(self.open_log())
            .stderr(self.open_log())
            .process_group(0);
        if let Some(account) = program.account {
            command.uid(account.uid).gid(account.gid);
        }
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        self.tell("server", &child.id().to_string());
        let mut told = child.stdin.take().expect("it is piped");
        told.write_all(b"go\n").unwrap_or_else(|error| panic!("{program} did not wait to be started: {error}"));
        self.running = Some(child);
    }

    /// Whether the program has ended by itself, and how.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.running.as_mut()?.try_wait().expect("it is a child of this process")?;
        self.forget();
        Some(status)
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.ended();
        self.running.is_some()
    }

    /// The id of the program's process.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(Child::id)
    }

    /// Sends the program's first process a signal that asks it to end.
    pub(crate) fn end(&mut self, signal: &str) {
        self.tell("end", signal);
    }

    pub(crate) fn pause(&mut self) {
        self.tell("pause", "");
    }

    pub(crate) fn resume(&mut self) {
        self.tell("resume", "");
    }

    /// Kills the program with all its processes, and returns when they are gone.
    pub(crate) fn kill(&mut self) {
        self.tell("kill", "");
        if let Some(mut child) = self.running.take() {
            child.wait().expect("it is a child of this process");
        }
        self.forget();
    }

    /// A process that has been waited for has no id any more: the next one to have it is a stranger.
    fn forget(&mut self) {
        self.running = None;
        self.tell("server", "");
    }

    /// Gives a command and waits until it is done.
    fn tell(&mut self, command: &str, argument: &str) {
        let mut ask = || -> std::io::Result<String> {
            let mut answer = String::new();
            writeln!(self.commands.as_mut().expect("it ends in `drop`"), "{command} {argument}")?;
            self.answers.read_line(&mut answer)?;
            Ok(answer)
        };
        match ask() {
            Ok(answer) => assert_eq!(answer.trim_end(), command, "the supervisor of {}", self.folder.display()),
            Err(error) => panic!("the supervisor of {} is gone: {error}", self.folder.display()),
        }
    }

    fn open_log(&self) -> File {
        let log = self.log();
        let file = OpenOptions::new().create(true).append(true).open(&log);
        file.unwrap_or_else(|error| panic!("cannot write {}: {error}", log.display()))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.commands = None;
        // Nothing to do about a failure, least of all to panic: the test may be panicking already.
        let _ = self.shell.wait();
        if let Some(mut child) = self.running.take() {
            let _ = child.wait();
        }
        debug_assert!(std::thread::panicking() || fs::metadata(&self.folder).is_err(), "the folder is still there");
    }
}
