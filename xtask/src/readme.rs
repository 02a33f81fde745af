//! The test command the README promises is the one that is run.

use std::path::Path;

use crate::process::{Cmd, Failure, Result};

/// The line a reader finds in a fenced block of `README.md`.
const COMMAND: &str = "cargo xtask test";

/// Reads the command out of the README and runs exactly that.
pub(crate) fn test(root: &Path) -> Result {
    let path = root.join("README.md");
    let readme = std::fs::read_to_string(&path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
    let command = fenced_lines(&readme)
        .find(|line| *line == COMMAND)
        .ok_or_else(|| Failure::new(format!("README.md has no line `{COMMAND}` in a fenced block")))?;
    let mut words = command.split_whitespace();
    let program = words.next().unwrap_or_default();
    Cmd::new(program).args(words).run()
}

/// The lines inside fenced code blocks, without the space around them.
fn fenced_lines(markdown: &str) -> impl Iterator<Item = &str> {
    let mut fence: Option<&str> = None;
    markdown.lines().map(str::trim).filter(move |line| {
        match fence {
            None => fence = opening(line),
            Some(open) if line.starts_with(open) && opening(line) == Some(line) => fence = None,
            Some(_) => return true,
        }
        false
    })
}

/// The row of backticks or tildes that a fence opens with.
fn opening(line: &str) -> Option<&str> {
    let mark = line.chars().next().filter(|c| "`~".contains(*c))?;
    let length = line.find(|c| c != mark).unwrap_or(line.len());
    (length >= 3).then(|| &line[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_inside_fences_count() {
        let readme = "\
cargo xtask prose

```sh
cargo xtask test
```
cargo xtask between

   ````text
   ```
   cargo xtask nested
   ```
   ````
~~~
cargo xtask tilde
```
~~~
cargo xtask after
";
        let lines: Vec<_> = fenced_lines(readme).collect();
        assert_eq!(lines, ["cargo xtask test", "```", "cargo xtask nested", "```", "cargo xtask tilde", "```"]);
    }

    #[test]
    fn a_readme_that_is_absent_or_lacks_the_command_is_a_failure() {
        let folder = std::env::temp_dir().join(format!("xtask-readme-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let absent = test(&folder).expect_err("no README").to_string();
        std::fs::write(folder.join("README.md"), "```\ncargo test\n```\ncargo xtask test\n").expect("a README");
        let lacking = test(&folder).expect_err("not in a fence").to_string();
        std::fs::remove_dir_all(&folder).expect("it was there");
        assert!(absent.starts_with("cannot read "), "{absent}");
        assert!(lacking.contains("has no line `cargo xtask test`"), "{lacking}");
    }
}
