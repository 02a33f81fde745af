//! Copies the leases of `linkly-cache`, once as they are and once for each protection without it.

use std::path::Path;
use std::{env, fs};

const SOURCE: &str = "../src/memory";
const FILES: [&str; 2] = ["leases.rs", "spaces.rs"];

/// A module, the file it changes, what is replaced there and by what.
const BROKEN: &[(&str, &str, &str, &str)] = &[
    ("fill_does_not_compare", "leases.rs", "if self.token(*generation) != token {", "if false {"),
    (
        "fill_stores_after_the_lock",
        "leases.rs",
        "store();\n        Filled",
        "drop(generation);\n        store();\n        Filled",
    ),
    ("invalidate_does_not_raise", "leases.rs", "*generation += 1;\n        remove();", "remove();"),
    (
        "invalidate_removes_before_the_lock",
        "leases.rs",
        "let mut generation = self.stripe(hash);\n        *generation += 1;\n        remove();",
        "remove();\n        *self.stripe(hash) += 1;",
    ),
    ("clear_does_not_raise", "leases.rs", "*lock(generation) += 1;", "drop(lock(generation));"),
    (
        "clear_empties_before_it_raises",
        "leases.rs",
        "for generation in &self.generations {",
        "empty();\n        let empty = || ();\n        for generation in &self.generations {",
    ),
    (
        "get_looks_up_before_its_lease",
        "leases.rs",
        "let token = self.token(*self.stripe(hash));\n        (token, find())",
        "let found = find();\n        (self.token(*self.stripe(hash)), found)",
    ),
    ("a_target_leaves_the_absence", "spaces.rs", "other.remove(code.as_str());", "let _ = other;"),
    (
        "invalidate_leaves_the_absence",
        "spaces.rs",
        "self.targets.remove(code.as_str());\n        self.absences.remove(code.as_str());",
        "self.targets.remove(code.as_str());",
    ),
];

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=build.rs");
    let out = env::var("OUT_DIR").expect("cargo names a directory");
    let write = |module: &str, change: Option<(&str, &str, &str)>| {
        let folder = Path::new(&out).join(module);
        fs::create_dir_all(&folder).expect("the folder can be made");
        for file in FILES {
            let mut source = fs::read_to_string(Path::new(SOURCE).join(file)).expect("the source is there");
            if let Some((in_file, from, to)) = change
                && in_file == file
            {
                assert_eq!(source.matches(from).count(), 1, "{module}: {file} does not hold {from:?} once");
                source = source.replace(from, to);
            }
            // `include!` takes no documentation of a file as a whole.
            let lines: Vec<&str> = source.lines().filter(|line| !line.starts_with("//!")).collect();
            fs::write(folder.join(file), lines.join("\n")).expect("the copy can be written");
        }
    };
    write("intact", None);
    for &(module, file, from, to) in BROKEN {
        write(module, Some((file, from, to)));
    }
}
