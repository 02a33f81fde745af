//! Servers end with whoever started them, however that ends.
//!
//! Each test runs itself again as a process of its own: that one starts servers, and here it is seen what it
//! leaves behind.

use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use linkly_testkit::{PgBouncer, PoolMode, Postgres, Redis, Server, Sqld, eventually};

/// Set for the process that starts the servers.
const STARTS_SERVERS: &str = "LINKLY_TESTKIT_STARTS_SERVERS";

/// A process that has started servers.
struct Starter {
    process: Child,
    /// Read to its end, so that the process can print.
    output: Lines<BufReader<ChildStdout>>,
    left_behind: LeftBehind,
}

/// What must not be there any more.
struct LeftBehind {
    folders: Vec<PathBuf>,
    processes: Vec<String>,
}

impl Starter {
    /// Runs a test of this file again, and waits until it has started its servers.
    fn of(test: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("a test is a file"))
            .args(["--exact", test, "--nocapture"])
            .env(STARTS_SERVERS, "")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("it ran before");
        let mut output = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let (mut folders, mut processes) = (Vec::new(), Vec::new());
        for line in output.by_ref().map(|line| line.expect("it is text")).take_while(|line| line != "started") {
            if let Some((pid, folder)) = line.strip_prefix("server ").and_then(|server| server.split_once(' ')) {
                folders.push(PathBuf::from(folder));
                processes.extend(family_of(pid));
            }
        }
        let left_behind = LeftBehind { folders, processes };
        assert!(left_behind.folders.iter().all(|folder| folder.is_dir()));
        Self { process, output, left_behind }
    }

    fn signal(&self, signal: &str) {
        kill(signal, &self.process.id().to_string());
    }

    /// As a terminal does at Ctrl-C.
    fn interrupt_its_group(&self) {
        kill("-INT", &format!("-{}", self.process.id()));
    }

    /// Waits until the process has ended, as it should, and until what it started is gone.
    fn has_left_nothing(mut self, servers: usize, end: &str) {
        for line in self.output {
            line.expect("it is text");
        }
        let status = self.process.wait().expect("it is a child of this process");
        assert!(status.to_string().starts_with(end), "{status}");
        let LeftBehind { folders, processes } = self.left_behind;
        assert_eq!(folders.len(), servers);
        assert!(processes.len() >= servers, "{processes:?}");
        eventually("no process and no folder", || {
            let running = running();
            folders.iter().all(|folder| !folder.exists())
                && !processes.iter().any(|pid| running.iter().any(|[process, ..]| process == pid))
        });
    }
}

fn kill(signal: &str, whom: &str) {
    let status = Command::new("kill").args([signal, "--", whom]).status().expect("kill runs");
    assert!(status.success());
}

/// Process, parent and state of all processes but zombies, which are gone and wait for their parents alone.
fn running() -> Vec<[String; 3]> {
    let output = Command::new("ps").args(["-A", "-o", "pid=", "-o", "ppid=", "-o", "stat="]).output().expect("ps runs");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().try_into().ok())
        .filter(|[_, _, state]: &[String; 3]| !state.starts_with('Z'))
        .collect()
}

/// A process and its children.
fn family_of(pid: &str) -> Vec<String> {
    let family = running().into_iter().filter(|[process, parent, _]| process == pid || parent == pid);
    family.map(|[process, ..]| process).collect()
}

fn starts_servers() -> bool {
    std::env::var_os(STARTS_SERVERS).is_some()
}

/// Tells the other process about the servers.
fn tell(servers: &[&Server]) {
    for server in servers {
        println!("\nserver {} {}", server.pid().expect("it runs"), server.folder().display());
    }
    println!("started");
}

/// Until the other process ends this one, or closes the pipe.
fn wait_for_the_end() {
    let _ = std::io::stdin().read_line(&mut String::new());
}

fn hold_servers_in_statics() {
    static BOUNCER: OnceLock<PgBouncer> = OnceLock::new();
    let bouncer = BOUNCER.get_or_init(|| PgBouncer::start(Postgres::shared(), PoolMode::Session));
    tell(&[Postgres::shared(), bouncer, Redis::shared(), Sqld::shared()]);
    wait_for_the_end();
}

#[test]
fn servers_in_statics_are_gone_when_the_process_is_killed() {
    if starts_servers() {
        return hold_servers_in_statics();
    }
    let starter = Starter::of("servers_in_statics_are_gone_when_the_process_is_killed");
    starter.signal("-KILL");
    starter.has_left_nothing(4, "signal: 9");
}

#[test]
fn servers_in_statics_are_gone_when_the_process_ends() {
    if starts_servers() {
        return hold_servers_in_statics();
    }
    let mut starter = Starter::of("servers_in_statics_are_gone_when_the_process_ends");
    writeln!(starter.process.stdin.take().expect("it is piped")).expect("it reads");
    starter.has_left_nothing(4, "exit status: 0");
}

#[test]
fn paused_servers_are_gone_when_the_process_is_killed() {
    if starts_servers() {
        let (postgres, redis) = (Postgres::start(), Redis::start());
        postgres.pause();
        redis.pause();
        tell(&[&postgres, &redis]);
        return wait_for_the_end();
    }
    let starter = Starter::of("paused_servers_are_gone_when_the_process_is_killed");
    starter.signal("-KILL");
    starter.has_left_nothing(2, "signal: 9");
}

#[test]
fn servers_are_gone_when_the_terminal_interrupts_the_tests() {
    if starts_servers() {
        let (postgres, redis) = (Postgres::start(), Redis::start());
        tell(&[&postgres, &redis]);
        return wait_for_the_end();
    }
    let starter = Starter::of("servers_are_gone_when_the_terminal_interrupts_the_tests");
    starter.interrupt_its_group();
    starter.has_left_nothing(2, "signal: 2");
}

#[test]
fn a_server_is_gone_when_its_handle_is_dropped_by_a_panic() {
    let (mut folders, mut processes) = (Vec::new(), Vec::new());
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let (postgres, redis, sqld) = (Postgres::start(), Redis::start(), Sqld::start());
        for server in [&*postgres, &redis, &sqld] {
            folders.push(server.folder().to_owned());
            processes.extend(family_of(&server.pid().expect("it runs").to_string()));
        }
        panic!("as a failed assertion does");
    }));
    assert!(panic.is_err());
    // At once: dropping a handle waits for the end.
    assert!(folders.iter().all(|folder| !folder.exists()), "{folders:?}");
    let running = running();
    assert!(processes.len() > 3, "{processes:?}");
    assert!(!running.iter().any(|[process, ..]| processes.contains(process)), "{processes:?}");
}
