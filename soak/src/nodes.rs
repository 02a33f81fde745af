//! Four nodes over one Postgres and one Redis, which are killed, paused and started again while they work.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use linkly_testkit::{Postgres, Redis};
use rand::RngExt;
use rustix::process::{Pid, Signal, kill_process};

use crate::Result;
use crate::history::{Operation, Pause, What, check};
use crate::node::{NODES, POLL, micros};

/// Past it nobody may see what is older. A look at the change log each [`POLL`]; before it tells a node's memory, the
/// shared cache may take a deadline for its position and each of its calls (200 ms, 100 ms); and a node that has just
/// started may look up what another could not tell a Redis that was away, until that one asks it again (2 s). The
/// rest is for a machine with more to run than it has cores.
const BOUND: Duration = Duration::from_millis(4_000);

/// Runs so long, with faults but for the last [`BOUND`] and a little more; then compares.
pub(crate) async fn run(time: Duration) -> Result<()> {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let database = postgres.new_database();
    linkly_store_postgres::PostgresStore::connect(&database).await?;
    let codes = u32::try_from(NODES)? * (16 + u32::try_from(time.as_secs())?);
    let start = |node| Node::start(node, &database, redis.url(), codes);
    let mut nodes = (0..NODES).map(start).collect::<Result<Vec<_>>>()?;
    let (mut history, mut pauses, mut faults) = (Vec::new(), Vec::new(), [0_usize; 4]);
    let quiet = Instant::now() + time.saturating_sub(BOUND + Duration::from_secs(1));
    let end = Instant::now() + time;
    while Instant::now() < quiet {
        sleep(300..900).await;
        let (fault, at) = (rand::rng().random_range(0..faults.len()), rand::rng().random_range(0..NODES));
        faults[fault] += 1;
        match fault {
            0 => {
                redis.pause();
                sleep(50..900).await;
                redis.resume();
            }
            1 => {
                redis.kill();
                sleep(0..500).await;
                redis.restart();
            }
            2 => {
                let killed = std::mem::replace(&mut nodes[at], start(at)?);
                history.extend(killed.end()?);
            }
            _ => {
                let from = micros();
                nodes[at].signal(Signal::STOP)?;
                sleep(50..2_500).await;
                nodes[at].signal(Signal::CONT)?;
                pauses.push(Pause { node: at, from, until: micros() });
            }
        }
    }
    tokio::time::sleep(end.saturating_duration_since(Instant::now())).await;
    for node in nodes {
        history.extend(node.end()?);
    }
    let count = |is: fn(&What) -> bool| history.iter().filter(|operation| is(&operation.what)).count();
    let reads = count(|what| matches!(what, What::Saw(_)));
    let writes = count(|what| matches!(what, What::Wrote(_)));
    let deletions = count(|what| matches!(what, What::Deleted(_)));
    if reads == 0 || writes == 0 || deletions == 0 {
        return Err(format!("{reads} reads, {writes} writes, {deletions} deletions: that shows nothing").into());
    }
    let findings = check(&history, &pauses, BOUND);
    let [pauses, kills, killed, paused] = faults;
    println!(
        "{NODES} nodes: {reads} reads, {writes} writes, {deletions} deletions; Redis {pauses} times paused, {kills} \
         killed; nodes {killed} times killed, {paused} paused; {} findings past {BOUND:?} (change log each {POLL:?})",
        findings.len()
    );
    if let Some(finding) = findings.first() {
        return Err(format!("{} findings, the first: {finding:?}", findings.len()).into());
    }
    Ok(())
}

async fn sleep(millis: std::ops::Range<u64>) {
    let millis = rand::rng().random_range(millis);
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// A process. Killed when it is dropped.
struct Node {
    number: usize,
    process: Child,
    lines: Option<JoinHandle<std::io::Result<Vec<String>>>>,
}

impl Node {
    fn start(number: usize, database: &str, redis: &str, codes: u32) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["node", &number.to_string(), database, redis, &codes.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("the node has no output")?;
        let lines = std::thread::spawn(move || BufReader::new(output).lines().collect());
        Ok(Self { number, process, lines: Some(lines) })
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).ok_or("the node has no process")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Kills it. What it had done by then.
    fn end(mut self) -> Result<Vec<Operation>> {
        if let Some(status) = self.process.try_wait()? {
            return Err(format!("node {} ended by itself: {status}", self.number).into());
        }
        self.process.kill()?;
        let lines =
            self.lines.take().ok_or("the node was read before")?.join().map_err(|_| "the reader panicked")??;
        let operation = |line: &String| Operation::of_line(self.number, line);
        let read = |line| operation(line).ok_or_else(|| format!("a node printed {line:?}").into());
        lines.iter().map(read).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
