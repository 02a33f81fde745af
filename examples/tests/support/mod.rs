//! An example as a process of its own, driven over HTTP.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader, Lines, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use ureq::http::{Method, Request};

/// A running example. Killed when it is dropped.
pub(crate) struct App {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) url: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }
}

impl App {
    /// Starts `program` in `folder`, on a free port, and waits until it says that it listens.
    pub(crate) fn start(program: &str, folder: &Path) -> Self {
        Self::start_with(program, folder, &[])
    }

    /// The same with settings in its environment.
    pub(crate) fn start_with(program: &str, folder: &Path, settings: &[(&str, &str)]) -> Self {
        let mut child = Command::new(program)
            .current_dir(folder)
            .env("LINKLY_ADDR", "127.0.0.1:0")
            .env_remove("DATABASE_URL")
            .env_remove("LIBSQL_URL")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().expect("the app says where it listens before it ends").unwrap();
        let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        Self { child, lines, url }
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.send(Method::POST, path, body)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "")
    }

    pub(crate) fn send(&self, method: Method, path: &str, body: &str) -> Answer {
        send(&agent(), &self.url, method, path, body).unwrap()
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Follows `/s/iii` from eight threads, ends it by SIGTERM in the midst of that, and answers with the number
    /// of redirects that arrived and its last line.
    pub(crate) fn terminate_under_load(self) -> (u64, String) {
        let redirects = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let agent = agent();
                    // Until the app takes no more requests.
                    while let Ok(answer) = send(&agent, &self.url, Method::GET, "/s/iii", "") {
                        assert_eq!(answer.status, 302);
                        redirects.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            while redirects.load(Ordering::SeqCst) < 2_000 {
                std::thread::yield_now();
            }
            self.signal("TERM");
        });
        (redirects.into_inner(), self.last_words())
    }

    /// Waits until it has ended by itself, and answers with its last line.
    pub(crate) fn last_words(mut self) -> String {
        let last = self.lines.by_ref().map(Result::unwrap).last().unwrap_or_default();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        last
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that follows no redirect and takes every status for an answer.
pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().max_redirects(0).http_status_as_error(false).build().into()
}

pub(crate) fn send(
    agent: &ureq::Agent,
    url: &str,
    method: Method,
    path: &str,
    body: &str,
) -> Result<Answer, ureq::Error> {
    let request = Request::builder().method(method).uri(format!("{url}{path}"));
    let request = request.header("Content-Type", "application/json").body(body.to_owned())?;
    let mut response = agent.run(request)?;
    let location = response.headers().get("Location").map(|value| value.to_str().unwrap().to_owned());
    let mut body = String::new();
    response.body_mut().as_reader().read_to_string(&mut body)?;
    Ok(Answer { status: response.status().as_u16(), location, body })
}
