//! What the workspace consists of, as `cargo metadata` tells it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::feature_set::FeatureSet;
use crate::process::{Cmd, Failure, Result};

/// The workspace: its packages so that each comes after those it is built from.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// One package of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) rust_version: Option<String>,
    pub(crate) publishable: bool,
    /// Whether others can link it. Without, all it has are binaries, linked each on its own.
    pub(crate) library: bool,
    pub(crate) benches: Vec<String>,
    pub(crate) examples: Vec<String>,
    /// Its features but `default`, in order.
    pub(crate) features: Vec<String>,
    /// The names of what it is built from, optional or not; development dependencies left out.
    pub(crate) dependencies: BTreeSet<String>,
    pub(crate) feature_sets: Vec<FeatureSet>,
}

impl Workspace {
    /// The workspace around the current directory.
    pub(crate) fn load() -> Result<Self> {
        let output = Cmd::cargo("metadata").args(["--no-deps", "--format-version", "1"]).output()?;
        Self::parse(&output)
    }

    fn parse(metadata: &str) -> Result<Self> {
        let metadata: Value = serde_json::from_str(metadata)
            .map_err(|error| Failure::new(format!("cargo metadata is not JSON: {error}")))?;
        let packages = items(&metadata["packages"]).map(Package::parse).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            root: text(&metadata["workspace_root"])?.into(),
            target: text(&metadata["target_directory"])?.into(),
            packages: in_build_order(packages),
        })
    }

    /// The packages that are published.
    pub(crate) fn publishable(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.publishable)
    }
}

impl Package {
    fn parse(value: &Value) -> Result<Self> {
        let name = text(&value["name"])?.to_owned();
        let targets = |kinds: &[&str]| -> Vec<String> {
            items(&value["targets"])
                .filter(|target| items(&target["kind"]).filter_map(Value::as_str).any(|kind| kinds.contains(&kind)))
                .filter_map(|target| target["name"].as_str().map(str::to_owned))
                .collect()
        };
        Ok(Self {
            rust_version: value["rust_version"].as_str().map(str::to_owned),
            // Absent means anywhere, an empty list of registries means nowhere.
            publishable: value["publish"].as_array().is_none_or(|to| !to.is_empty()),
            library: !targets(&["lib", "rlib", "proc-macro"]).is_empty(),
            benches: targets(&["bench"]),
            examples: targets(&["example"]),
            features: value["features"]
                .as_object()
                .into_iter()
                .flat_map(serde_json::Map::keys)
                .filter(|feature| *feature != "default")
                .cloned()
                .collect(),
            dependencies: items(&value["dependencies"])
                .filter(|dependency| dependency["kind"] != "dev")
                .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned))
                .collect(),
            feature_sets: FeatureSet::parse(&value["metadata"]["linkly"]["test-features"], &value["features"])
                .map_err(|problem| Failure::new(format!("package {name}: {problem}")))?,
            name,
        })
    }
}

#[cfg(test)]
impl Package {
    /// A published library with nothing in it, for tests to add to.
    pub(crate) fn empty(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            rust_version: None,
            publishable: true,
            library: true,
            benches: Vec::new(),
            examples: Vec::new(),
            features: Vec::new(),
            dependencies: BTreeSet::new(),
            feature_sets: vec![FeatureSet::All],
        }
    }
}

/// Each package after those it is built from; among those that could come next, the published
/// first, then by name.
fn in_build_order(mut rest: Vec<Package>) -> Vec<Package> {
    rest.sort_by(|a, b| (!a.publishable, &a.name).cmp(&(!b.publishable, &b.name)));
    let mut ordered: Vec<Package> = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let ready = |package: &Package| {
            !rest.iter().any(|other| other.name != package.name && package.dependencies.contains(&other.name))
        };
        // Cargo refuses a cycle, so one is always ready.
        let next = rest.iter().position(ready).unwrap_or(0);
        ordered.push(rest.remove(next));
    }
    ordered
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().ok_or_else(|| Failure::new("cargo metadata lacks a name or a folder"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, rest: &Value) -> Value {
        let mut package = json!({
            "name": name, "publish": null, "rust_version": "1.95", "metadata": null,
            "features": {}, "dependencies": [],
            "targets": [{"name": name, "kind": ["lib"]}],
        });
        for (key, value) in rest.as_object().expect("an object") {
            package[key] = value.clone();
        }
        package
    }

    fn workspace(packages: &[Value]) -> Result<Workspace> {
        let metadata = json!({
            "workspace_root": "/w", "target_directory": "/w/target", "packages": packages,
        });
        Workspace::parse(&metadata.to_string())
    }

    #[test]
    fn packages_come_after_what_they_are_built_from_and_unpublished_ones_last() {
        let on = |name: &str, kind: Value| json!({"name": name, "kind": kind});
        let ordered = workspace(&[
            package("a-tool", &json!({"publish": []})),
            package("cache", &json!({"dependencies": [on("core", Value::Null)]})),
            package("core", &json!({"dependencies": [on("suite", json!("dev"))]})),
            package("suite", &json!({"dependencies": [on("core", Value::Null)]})),
            package("alpha", &json!({"dependencies": [on("suite", json!("build"))]})),
        ])
        .expect("it is well-formed");
        let names: Vec<_> = ordered.packages.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["core", "cache", "suite", "alpha", "a-tool"]);
        let published: Vec<_> = ordered.publishable().map(|p| p.name.as_str()).collect();
        assert_eq!(published, ["core", "cache", "suite", "alpha"]);
    }

    #[test]
    fn a_package_s_targets_features_and_dependencies_are_read() {
        let read = workspace(&[package(
            "benches",
            &json!({
                "targets": [
                    {"name": "report", "kind": ["bin"]},
                    {"name": "sqlite", "kind": ["bench"]},
                    {"name": "tour", "kind": ["example"]},
                ],
                "features": {"default": ["redis"], "redis": [], "memory": []},
                "dependencies": [
                    {"name": "sqlx", "kind": null, "optional": true},
                    {"name": "libsql", "kind": "dev"},
                ],
            }),
        )])
        .expect("it is well-formed");
        let package = &read.packages[0];
        assert!(!package.library);
        assert_eq!(package.benches, ["sqlite"]);
        assert_eq!(package.examples, ["tour"]);
        assert_eq!(package.features, ["memory", "redis"]);
        assert_eq!(package.dependencies, BTreeSet::from(["sqlx".to_owned()]));
        assert_eq!(package.rust_version.as_deref(), Some("1.95"));
        assert_eq!(package.feature_sets, [FeatureSet::All]);
    }

    #[test]
    fn a_malformed_list_of_feature_sets_is_refused_with_the_package_s_name() {
        let listed = json!({"metadata": {"linkly": {"test-features": []}}});
        let failure = workspace(&[package("store", &listed)]).expect_err("malformed");
        assert!(failure.to_string().starts_with("package store: test-features must be"));
    }
}
