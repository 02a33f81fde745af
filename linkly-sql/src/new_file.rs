//! A file that a copy of a database is written to.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use linkly_core::{Error, Result};

/// A new and empty file, which is removed again unless it is kept. An empty file is what SQLite's `VACUUM INTO`
/// copies into, and whoever made it knows that nothing is written over.
#[derive(Debug)]
pub struct NewFile {
    path: String,
    is_kept: bool,
}

impl NewFile {
    /// Makes the file.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when there is one already.
    pub fn create(backend: &'static str, path: &Path) -> Result<Self> {
        let text = path.to_str().ok_or_else(|| Error::invalid("path", "it is not UTF-8"))?;
        File::create_new(path).map_err(|found| match found.kind() {
            ErrorKind::AlreadyExists => Error::Refused {
                backend,
                reason: format!("{text} is there already: choose another name"),
                source: None,
            },
            _ => Error::Backend {
                backend,
                reason: format!(
                    "copying to {text}: the file cannot be created: choose a path that this process may write"
                ),
                source: Some(Arc::new(found)),
            },
        })?;
        Ok(Self { path: text.to_owned(), is_kept: false })
    }

    /// Its path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Keeps it: the copy is whole.
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        for end in ["", "-journal"] {
            let _ = fs::remove_file(format!("{}{end}", self.path));
        }
    }
}
