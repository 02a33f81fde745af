//! Whom a server runs as, when it refuses to run as root.

use std::process::Command;

/// A user and group of the system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// `None` unless this process is root's: then `postgres`, where Debian's package has made it, or else
    /// `nobody`.
    pub(crate) fn other_than_root() -> Option<Self> {
        if id(&["-u"]) != Some(0) {
            return None;
        }
        let account = ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| Some(Self { uid: id(&["-u", name])?, gid: id(&["-g", name])? }));
        Some(account.expect("servers that refuse to run as root need a user: neither postgres nor nobody is there"))
    }
}

fn id(args: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(args).output().expect("`id` is part of every system");
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}
