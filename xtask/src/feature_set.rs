//! What one build of a package turns on.

use std::collections::BTreeSet;

use serde_json::Value;

/// Everything, or exactly the features listed in its
/// `[package.metadata.linkly] test-features`, the default ones only where they are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FeatureSet {
    All,
    Only(Vec<String>),
}

impl FeatureSet {
    /// Reads the sets a package lists; where it lists none, the one set is everything. `table` is
    /// the package's `[features]`: a feature that no set turns on would never be tested.
    pub(crate) fn parse(listed: &Value, table: &Value) -> Result<Vec<Self>, String> {
        let wanted = "test-features must be a list of lists of features, with at least one list";
        if listed.is_null() {
            return Ok(vec![Self::All]);
        }
        let listed = listed.as_array().filter(|sets| !sets.is_empty()).ok_or(wanted)?;
        let mut sets = Vec::new();
        let mut on = BTreeSet::new();
        for set in listed {
            let features = set.as_array().ok_or(wanted)?;
            let features = features.iter().map(|feature| feature.as_str().map(str::to_owned).ok_or(wanted));
            let features: Vec<String> = features.collect::<Result<_, _>>()?;
            turn_on(&features, table, &mut on);
            sets.push(Self::Only(features));
        }
        let all = table.as_object().into_iter().flat_map(serde_json::Map::keys);
        let left_out: Vec<&str> =
            all.map(String::as_str).filter(|name| *name != "default" && !on.contains(*name)).collect();
        if left_out.is_empty() {
            return Ok(sets);
        }
        Err(format!("no set in test-features turns on {}", left_out.join(", ")))
    }

    /// The arguments that tell cargo.
    pub(crate) fn args(&self) -> Vec<String> {
        match self {
            Self::All => vec!["--all-features".to_owned()],
            Self::Only(features) => {
                let mut args = vec!["--no-default-features".to_owned()];
                if !features.is_empty() {
                    args.extend(["--features".to_owned(), features.join(",")]);
                }
                args
            }
        }
    }
}

/// Adds the features that are listed and those that follow from them.
fn turn_on(listed: &[String], table: &Value, on: &mut BTreeSet<String>) {
    let mut next = listed.to_vec();
    while let Some(feature) = next.pop() {
        let implied = table[&feature].as_array().into_iter().flatten().filter_map(Value::as_str);
        next.extend(implied.filter(|name| !on.contains(*name)).map(str::to_owned));
        on.insert(feature);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn without_a_list_everything_is_turned_on() {
        let sets = FeatureSet::parse(&Value::Null, &json!({})).expect("no list is fine");
        assert_eq!(sets, [FeatureSet::All]);
        assert_eq!(sets[0].args(), ["--all-features"]);
    }

    #[test]
    fn a_listed_set_turns_on_exactly_its_features() {
        let sets = FeatureSet::parse(&json!([["a", "b"], []]), &json!({})).expect("it is well-formed");
        let args: Vec<_> = sets.iter().map(FeatureSet::args).collect();
        assert_eq!(args[0], ["--no-default-features", "--features", "a,b"]);
        assert_eq!(args[1], ["--no-default-features"]);
    }

    #[test]
    fn anything_but_a_list_of_lists_of_names_is_refused() {
        for sets in [json!([]), json!("a"), json!(["a"]), json!([[1]])] {
            let problem = FeatureSet::parse(&sets, &json!({})).expect_err("malformed");
            assert!(problem.starts_with("test-features must be"), "{problem}");
        }
    }

    #[test]
    fn a_feature_that_no_set_turns_on_is_refused() {
        let table = json!({"default": ["remote"], "remote": ["dep:http", "tls"], "tls": ["remote"], "local": []});
        let parse = |sets: Value| FeatureSet::parse(&sets, &table);
        assert!(parse(json!([["default"], ["local"]])).is_ok());
        assert_eq!(parse(json!([["default"]])).unwrap_err(), "no set in test-features turns on local");
        assert_eq!(parse(json!([[]])).unwrap_err(), "no set in test-features turns on local, remote, tls");
    }
}
