//! A server that runs in a folder of its own, and what can be done to it.

use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::port::Port;
use crate::program::Program;
use crate::supervisor::Supervisor;
use crate::wait;

/// A server that this process started. It is gone when the handle is dropped, and when the process ends in
/// any way.
///
/// Every method returns when what it says is done, and panics with the server's log if it cannot be done
/// within a minute.
pub struct Server {
    /// Ends before the port is given back.
    supervisor: Mutex<Supervisor>,
    port: Port,
    folder: PathBuf,
    setup: Setup,
}

/// What is to run on a port.
pub(crate) struct Setup {
    pub(crate) program: Program,
    /// The signal for an orderly end, as `kill` takes it.
    pub(crate) stop_signal: &'static str,
    /// Whether the server takes requests.
    pub(crate) answers: Box<dyn Fn() -> bool + Send + Sync>,
}

/// Why a server did not start.
struct NotStarted {
    message: String,
    port_taken: bool,
}

impl Server {
    /// Starts what `setup` makes of a free port.
    pub(crate) fn start(mut supervisor: Supervisor, setup: impl Fn(SocketAddr) -> Setup) -> Self {
        let folder = supervisor.folder().to_owned();
        let mut tries = 0..5;
        loop {
            let port = Port::claim();
            let setup = setup(port.address());
            match start(&mut supervisor, &setup) {
                Ok(()) => return Self { supervisor: Mutex::new(supervisor), port, folder, setup },
                // A program that is no test's took it in between.
                Err(failed) if failed.port_taken && tries.next().is_some() => {}
                Err(failed) => panic!("{}", failed.message),
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The temporary folder with its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        log_after(&hold(&self.supervisor).log(), 0)
    }

    /// The id of its process; `None` while it does not run.
    pub fn pid(&self) -> Option<u32> {
        let mut supervisor = hold(&self.supervisor);
        supervisor.ended();
        supervisor.pid()
    }

    /// Ends it in an orderly way, as an operator does: what it acknowledged is on disk. Clients lose their
    /// connections. Does nothing when it does not run.
    pub fn stop(&self) {
        let mut supervisor = hold(&self.supervisor);
        if !supervisor.runs() {
            return;
        }
        supervisor.resume();
        supervisor.end(self.setup.stop_signal);
        let ended = wait::for_answer(|| supervisor.ended());
        assert!(ended.is_some(), "{} does not stop\n{}", self.setup.program, log_after(&supervisor.log(), 0));
    }

    /// Kills it and all its processes where they are (SIGKILL), also a paused one. Does nothing when it does
    /// not run.
    pub fn kill(&self) {
        hold(&self.supervisor).kill();
    }

    /// Stops all its processes as they are (SIGSTOP): connections stay open, new ones are taken by the kernel,
    /// and nothing is answered until [`resume`](Self::resume).
    pub fn pause(&self) {
        let mut supervisor = hold(&self.supervisor);
        assert!(supervisor.runs(), "{} is to pause, but does not run", self.setup.program);
        supervisor.pause();
    }

    /// Lets a paused server go on.
    pub fn resume(&self) {
        let mut supervisor = hold(&self.supervisor);
        assert!(supervisor.runs(), "{} is to go on, but does not run", self.setup.program);
        supervisor.resume();
    }

    /// Starts it again on the same port with the same data, after [`stop`](Self::stop) when it runs.
    pub fn restart(&self) {
        self.stop();
        if let Err(failed) = start(&mut hold(&self.supervisor), &self.setup) {
            panic!("{}", failed.message);
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("program", &self.setup.program.path)
            .field("address", &self.address())
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// Runs a program to its end, in the folder that a server will have.
pub(crate) fn prepare(supervisor: &mut Supervisor, program: &Program) {
    supervisor.launch(program);
    let status = wait::for_answer(|| supervisor.ended());
    let log = || log_after(&supervisor.log(), 0);
    match status {
        Some(status) => assert!(status.success(), "{program} failed: {status}\n{}", log()),
        None => panic!("{program} does not end\n{}", log()),
    }
}

fn start(supervisor: &mut Supervisor, setup: &Setup) -> Result<(), NotStarted> {
    let log = supervisor.log();
    let logged_before = log.metadata().map_or(0, |file| file.len());
    supervisor.launch(&setup.program);
    let started = wait::for_answer(|| match supervisor.ended() {
        Some(status) => Some(Err(format!("ended with {status}"))),
        None => (setup.answers)().then_some(Ok(())),
    });
    let why = match started {
        Some(Ok(())) => return Ok(()),
        Some(Err(ended)) => ended,
        None => "does not answer".to_owned(),
    };
    supervisor.kill();
    let log = log_after(&log, logged_before);
    // Postgres, Redis, sqld and pgbouncer all print the system's "Address already in use".
    let port_taken = log.contains("already in use");
    Err(NotStarted { message: format!("{} {why}\n{log}", setup.program), port_taken })
}

fn log_after(log: &Path, position: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        file.seek(SeekFrom::Start(position))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("(no log: {error})"))
}

/// A test that panicked while it held the supervisor leaves it as fit as before.
fn hold(supervisor: &Mutex<Supervisor>) -> MutexGuard<'_, Supervisor> {
    supervisor.lock().unwrap_or_else(PoisonError::into_inner)
}
