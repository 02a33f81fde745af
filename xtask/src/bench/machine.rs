//! Where the figures were taken.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::process::{Cmd, Failure, Result, find};

/// The machine that each backend and each section was measured on last, by its name.
pub(crate) type Machines = BTreeMap<String, String>;

/// Reads them: a name, a tab and the machine on each line.
pub(crate) fn read(path: &Path) -> Result<Machines> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Failure::new(format!("{}: {error}", path.display())));
        }
        text => text.unwrap_or_default(),
    };
    Ok(text.lines().filter_map(|line| line.split_once('\t')).map(|(name, on)| (name.into(), on.into())).collect())
}

/// As they are kept.
pub(crate) fn lines(machines: &Machines) -> String {
    machines.iter().map(|(name, on)| format!("{name}\t{on}\n")).collect()
}

/// This one.
pub(crate) fn this() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("a processor without a name", |(_, model)| model);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib =
        memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().split(' ').next()?.parse::<f64>().ok());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cores} cores, {:.0} GiB", kib.unwrap_or(0.0) / 1_048_576.0)
}

/// The versions of what was measured, a line each.
pub(crate) fn versions() -> Result<String> {
    let said = |program: &str, args: &[&str]| -> Result<String> {
        let path = find(program).map_or_else(|| program.to_owned(), |path| path.display().to_string());
        Ok(Cmd::new(path).args(args.iter().copied()).output()?.trim().to_owned())
    };
    let mut lines = vec![
        format!("- {}", said("uname", &["-srm"])?),
        format!("- {}", said("rustc", &["--version"])?),
        format!("- {}", said("postgres", &["--version"])?),
        format!("- {}", said("redis-server", &["--version"])?.split(" sha=").next().unwrap_or_default()),
    ];
    let lock = fs::read_to_string("Cargo.lock").unwrap_or_default();
    let drivers = ["quick_cache", "rusqlite", "sqlx", "libsql", "tokio-postgres", "redis", "redb"];
    let drivers: Vec<String> =
        drivers.iter().filter_map(|name| Some(format!("{name} {}", locked(&lock, name)?))).collect();
    lines.push(format!("- {}", drivers.join(", ")));
    Ok(lines.join("\n"))
}

/// The version of a crate in a lock file.
fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_read_as_they_are_written() {
        let path = std::env::temp_dir().join(format!("linkly-machines-{}", std::process::id()));
        assert_eq!(read(&path).unwrap(), Machines::new());
        let machines = Machines::from([("sqlite".into(), this()), ("growth".into(), "another, 4 cores".into())]);
        fs::write(&path, lines(&machines)).unwrap();
        assert_eq!(read(&path).unwrap(), machines);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_version_is_that_of_the_crate_of_this_very_name() {
        let lock = "[[package]]\nname = \"libsql-ffi\"\nversion = \"0.9\"\n\n[[package]]\nname = \"libsql\"\nversion = \"0.10.0\"\n";
        assert_eq!(locked(lock, "libsql"), Some("0.10.0"));
        assert_eq!(locked(lock, "sqlx"), None);
    }
}
