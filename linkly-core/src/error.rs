//! The one error type: its variants are what a caller can act on.

use std::sync::Arc;

/// What every fallible function of Linkly returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The driver's error behind one of ours, shared by all who wait for the same load.
pub type Source = Arc<dyn std::error::Error + Send + Sync + 'static>;

/// Everything that can go wrong, by what a caller does about it.
///
/// Cloning is cheap: one failed load is shared by all who joined it.
///
/// `Display` names what was asked, what was found and, where there is one, what to do about it. The
/// driver's own error is [`source`](std::error::Error::source) and is not repeated in the text.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The code is not one that this handle or its policy allows. Nothing was read or written.
    #[error("invalid code {code:?}: {reason}")]
    InvalidCode {
        /// The text as it was given.
        code: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The URL is not one that the policy lets in. Nothing was written.
    #[error("invalid URL {url:?}: {reason}")]
    InvalidUrl {
        /// The text as it was given, cut at 200 characters.
        url: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// Another argument breaks a rule (a control character in a title, a limit of zero, a cursor
    /// that is not one of ours).
    #[error("invalid {what}: {reason}")]
    InvalidInput {
        /// The argument.
        what: &'static str,
        /// The rule that it breaks.
        reason: String,
    },
    /// A custom code belongs to another link, live or retired. It is never replaced by another code.
    #[error("the code {code:?} is taken")]
    CodeTaken {
        /// The code that was asked for.
        code: String,
    },
    /// There is no live link with this code.
    #[error("there is no link {code:?}")]
    NotFound {
        /// The code that was asked for.
        code: String,
    },
    /// The link was changed since it was read: read it again and decide again.
    #[error("the link {code:?} was changed since it was read: read it again")]
    Conflict {
        /// The link's code.
        code: String,
    },
    /// The store refuses this for good; sending it again will not help. A click that is older than
    /// what was purged, or a row that the database's own rules reject.
    #[error("{backend} refuses this for good: {reason}")]
    Refused {
        /// Who refuses.
        backend: &'static str,
        /// Why.
        reason: String,
        /// The driver's error.
        #[source]
        source: Option<Source>,
    },
    /// A stored row breaks a rule of these types (it was written by another program). The row is
    /// kept as it is.
    #[error("a stored row is unfit: {what} {value:?}: {reason}")]
    UnfitRow {
        /// The column.
        what: &'static str,
        /// What stands there, cut at 200 characters.
        value: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The backend cannot be reached or is overloaded at the moment: the same call may succeed later.
    /// A deadline that passed is one of these, and then a write may or may not have happened.
    #[error("{backend} is unavailable: {reason}")]
    Unavailable {
        /// Who is unavailable.
        backend: &'static str,
        /// What was seen.
        reason: String,
        /// The driver's error.
        #[source]
        source: Option<Source>,
    },
    /// The backend failed in a way that is not known to pass by itself.
    #[error("{backend} failed: {reason}")]
    Backend {
        /// Who failed.
        backend: &'static str,
        /// What was being done, and what to do about it where that is known.
        reason: String,
        /// The driver's error.
        #[source]
        source: Option<Source>,
    },
    /// The database's schema is not the one that this release needs.
    #[error("{backend} has another schema: {reason}")]
    Schema {
        /// Whose schema.
        backend: &'static str,
        /// What was found, what is needed, and what to do.
        reason: String,
    },
    /// This `Linkly`, recorder or queue was shut down.
    #[error("{what} is shut down")]
    Closed {
        /// What is shut down.
        what: &'static str,
    },
}

impl Error {
    /// Whether the same call may succeed later without anything being changed.
    ///
    /// A retry of a write is safe: writes carry ids, and a write that is there already counts once.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether the caller's input is at fault (HTTP 400).
    pub fn is_invalid_input(&self) -> bool {
        matches!(self, Self::InvalidCode { .. } | Self::InvalidUrl { .. } | Self::InvalidInput { .. })
    }

    /// The backend is unavailable, with nothing more to say than `reason`.
    pub fn unavailable(backend: &'static str, reason: impl Into<String>) -> Self {
        Self::Unavailable { backend, reason: reason.into(), source: None }
    }

    /// An argument other than a code or a URL breaks a rule.
    pub fn invalid(what: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidInput { what, reason: reason.into() }
    }

    /// `code` is refused because of `reason`.
    pub fn invalid_code(code: impl Into<String>, reason: &'static str) -> Self {
        Self::InvalidCode { code: excerpt(&code.into()), reason }
    }

    /// `url` is refused because of `reason`.
    pub fn invalid_url(url: &str, reason: &'static str) -> Self {
        Self::InvalidUrl { url: excerpt(url), reason }
    }

    /// The stored `value` of the column `what` breaks a rule.
    pub fn unfit_row(what: &'static str, value: &str, reason: &'static str) -> Self {
        Self::UnfitRow { what, value: excerpt(value), reason }
    }
}

/// At most 200 characters of a text that came from outside, for an error or a log line.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_by_itself_is_transient() {
        assert!(Error::unavailable("sqlite", "busy").is_transient());
        assert!(!Error::CodeTaken { code: "a".into() }.is_transient());
        assert!(!Error::Refused { backend: "sqlite", reason: "old".into(), source: None }.is_transient());
    }

    #[test]
    fn a_long_text_is_cut_in_an_error() {
        let shown = Error::invalid_url(&"é".repeat(9_000), "too long").to_string();
        assert!(shown.chars().count() < 260, "{}", shown.len());
    }
}
