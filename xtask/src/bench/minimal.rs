//! What a backend adds to an app: dependencies, the time of a first build, the size of the binary.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::process::{Cmd, Failure, Result};

/// An app that connects, makes a link and follows it.
struct App {
    name: &'static str,
    /// Of its manifest, beside core; `{root}` is the workspace's root.
    dependencies: &'static str,
    /// The expression that its engine's builder comes from.
    builder: &'static str,
}

const APPS: &[App] = &[
    App { name: "memory", dependencies: "", builder: "Linkly::builder(linkly_core::MemoryStore::new())" },
    App {
        name: "sqlite",
        dependencies: "linkly-store-sqlite = { path = \"{root}/linkly-store-sqlite\" }",
        builder: "Linkly::builder(linkly_store_sqlite::SqliteStore::connect(&url).await?)",
    },
    App {
        name: "libsql, a server",
        dependencies: "linkly-store-libsql = { path = \"{root}/linkly-store-libsql\" }",
        builder: "Linkly::builder(linkly_store_libsql::LibsqlStore::connect(&url).await?)",
    },
    App {
        name: "libsql, a file",
        dependencies: "linkly-store-libsql = { path = \"{root}/linkly-store-libsql\", default-features = false, features = [\"local\"] }",
        builder: "Linkly::builder(linkly_store_libsql::LibsqlStore::connect(&url).await?)",
    },
    App {
        name: "postgres",
        dependencies: "linkly-store-postgres = { path = \"{root}/linkly-store-postgres\" }",
        builder: "Linkly::builder(linkly_store_postgres::PostgresStore::connect(&url).await?)",
    },
    App {
        name: "memory, cached in redis",
        dependencies: "linkly-cache = { path = \"{root}/linkly-cache\", features = [\"redis\"] }",
        builder: "Linkly::builder(linkly_core::MemoryStore::new()).cache(linkly_cache::RedisCache::open(&url)?)",
    },
];

impl App {
    fn manifest(&self, root: &str) -> String {
        let dependencies = self.dependencies.replace("{root}", root);
        format!(
            "[package]\nname = \"minimal\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
             linkly-core = {{ path = \"{root}/linkly-core\" }}\n\
             tokio = {{ version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }}\n{dependencies}\n"
        )
    }

    fn main(&self) -> String {
        format!(
            "use linkly_core::{{Linkly, NewLink}};\n\n#[tokio::main]\n\
             async fn main() -> Result<(), Box<dyn std::error::Error>> {{\n    \
             let url = std::env::args().nth(1).unwrap_or_default();\n    \
             let linkly = {}.start().await?;\n    let link = linkly.create(NewLink::new(\"https://iii.dev\")).await?;\n    \
             println!(\"{{url}} {{:?}}\", linkly.resolve(link.code.as_str()).await?);\n    Ok(())\n}}\n",
            self.builder
        )
    }
}

/// Builds them all, each from nothing: the section of the report.
pub(super) fn measure(root: &Path, target: &Path) -> Result<String> {
    let mut section = "\
### A minimal app

With one backend each, built in release from nothing but the sources, on this machine.

| | crates | first build | binary |
|---|---|---|---|
"
    .to_owned();
    for app in APPS {
        let folder = target.join("bench/minimal");
        let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", folder.display()));
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(failed)?;
        }
        fs::create_dir_all(folder.join("src")).map_err(failed)?;
        fs::write(folder.join("Cargo.toml"), app.manifest(&root.display().to_string())).map_err(failed)?;
        fs::write(folder.join("src/main.rs"), app.main()).map_err(failed)?;
        // The versions that the workspace is tested with.
        fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).map_err(failed)?;
        let manifest = ["--manifest-path".to_owned(), folder.join("Cargo.toml").display().to_string()];
        Cmd::cargo("fetch").args(manifest.clone()).run()?;
        let tree = Cmd::cargo("tree").args(manifest.clone()).args(["-e", "normal", "--prefix", "none"]).output()?;
        let start = Instant::now();
        let into = ["--target-dir".to_owned(), folder.join("target").display().to_string()];
        Cmd::cargo("build").args(["--release", "--offline"]).args(manifest).args(into).run()?;
        let seconds = start.elapsed().as_secs();
        let size = fs::metadata(folder.join("target/release/minimal")).map_err(failed)?.len();
        let mib = size as f64 / 1_048_576.0;
        let _ = writeln!(section, "| {} | {} | {seconds} s | {mib:.1} MiB |", app.name, crates(&tree));
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    Ok(section)
}

/// The crates of a tree but the app itself, each once.
fn crates(tree: &str) -> usize {
    let mut crates: Vec<&str> = tree.lines().skip(1).map(|line| line.trim_end_matches(" (*)")).collect();
    crates.sort_unstable();
    crates.dedup();
    crates.iter().filter(|line| !line.is_empty()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_counts_once() {
        let tree = "minimal v0.0.0 (/m)\ntokio v1.54.1\nbytes v1.0.0\nbytes v1.0.0 (*)\nbytes v2.0.0\n\n";
        assert_eq!(crates(tree), 3);
    }

    #[test]
    fn a_manifest_names_the_workspace_by_its_path() {
        let manifest = APPS[1].manifest("/w");
        assert!(manifest.contains("\nlinkly-store-sqlite = { path = \"/w/linkly-store-sqlite\" }\n"), "{manifest}");
        assert!(APPS[1].main().contains("SqliteStore::connect(&url).await?).start()"));
    }
}
