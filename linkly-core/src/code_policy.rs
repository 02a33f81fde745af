//! Which codes an app lets in, and how new ones are made.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::code::{MAX_CODE_BYTES, Traits, check_path};
use crate::{Error, Result};

/// Whether codes that differ only in the case of their letters are one code.
///
/// Chosen when a database is made and recorded in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Folding {
    /// `Abc` and `abc` are two codes.
    #[default]
    Sensitive,
    /// `Abc` is read as `abc`: ASCII letters are folded to lower case before anything else.
    Lower,
}

impl Folding {
    /// The name as a database records it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sensitive => "sensitive",
            Self::Lower => "lower",
        }
    }

    /// The folding that a database recorded; `None` when it is not one of these.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sensitive, Self::Lower].into_iter().find(|folding| folding.as_str() == name)
    }
}

/// Which codes callers may choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CodePolicy {
    /// The fewest bytes of a custom code. Default: 1.
    pub min_bytes: usize,
    /// The most bytes of a custom code. Default and upper limit: 128.
    pub max_bytes: usize,
    /// Whether a code may be several segments joined by `/`. Default: no.
    pub segments: bool,
    /// Codes that are nobody's, whatever the case they stand here or are asked for in. Default: none.
    pub reserved: BTreeSet<String>,
}

impl Default for CodePolicy {
    fn default() -> Self {
        Self { min_bytes: 1, max_bytes: MAX_CODE_BYTES, segments: false, reserved: BTreeSet::new() }
    }
}

impl CodePolicy {
    /// Lets in codes of several segments (`docs/start`).
    #[must_use]
    pub fn with_segments(mut self) -> Self {
        self.segments = true;
        self
    }

    /// Keeps these words from being codes (`api`, `health`, names of the app's own routes).
    #[must_use]
    pub fn with_reserved<S: AsRef<str>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.reserved.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Whether a caller may choose this code.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`] with the rule that it breaks.
    pub fn check_custom(&self, code: &str) -> Result<()> {
        self.check(code).map_err(|reason| Error::invalid_code(code, reason))?;
        let reason = if code.len() < self.min_bytes {
            "it is shorter than the policy allows"
        } else if code.len() > self.max_bytes {
            "it is longer than the policy allows"
        } else if self.is_reserved(code) {
            "it is reserved"
        } else {
            return Ok(());
        };
        Err(Error::invalid_code(code, reason))
    }

    /// Whether `code` can be a code at all under this policy: what every look-up checks.
    pub(crate) fn check(&self, code: &str) -> Result<Traits, &'static str> {
        let traits = check_path(code)?;
        if traits.has_segments() && !self.segments {
            return Err("it has more than one segment");
        }
        Ok(traits)
    }

    pub(crate) fn is_reserved(&self, code: &str) -> bool {
        self.reserved.iter().any(|word| word.eq_ignore_ascii_case(code))
    }
}

/// Digits and letters without `0`, `O`, `I` and `l`, which people mistake for one another.
const MIXED: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// The same for codes that are folded to lower case.
const LOWER: &[u8; 33] = b"123456789abcdefghijkmnpqrstuvwxyz";

/// Makes random codes: 7 characters of 58 by default, about 41 bits.
///
/// Cloning shares the source of randomness.
#[derive(Clone, Debug)]
pub struct CodeGenerator {
    length: usize,
    /// Set by tests; otherwise the thread's own cryptographic generator.
    seeded: Option<Arc<Mutex<StdRng>>>,
}

impl Default for CodeGenerator {
    fn default() -> Self {
        Self::with_length(7)
    }
}

impl CodeGenerator {
    /// Codes of so many characters: 1 to 128.
    pub fn with_length(length: usize) -> Self {
        Self { length: length.clamp(1, MAX_CODE_BYTES), seeded: None }
    }

    /// Codes that cannot be guessed: 22 characters, about 128 bits.
    pub fn unguessable() -> Self {
        Self::with_length(22)
    }

    /// The same codes in every run, for tests.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.seeded = Some(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))));
        self
    }

    /// A new code, `longer` characters longer than usual. Under [`Folding::Lower`] it takes two more
    /// to be about as hard to hit.
    pub(crate) fn generate(&self, folding: Folding, longer: usize) -> String {
        let (alphabet, length): (&[u8], usize) = match folding {
            Folding::Sensitive => (MIXED, self.length),
            Folding::Lower => (LOWER, self.length.div_ceil(4) + self.length),
        };
        let length = (length + longer).min(MAX_CODE_BYTES);
        match &self.seeded {
            Some(seeded) => draw(&mut *seeded.lock().unwrap_or_else(PoisonError::into_inner), alphabet, length),
            None => draw(&mut rand::rng(), alphabet, length),
        }
    }
}

fn draw(rng: &mut impl rand::Rng, alphabet: &[u8], length: usize) -> String {
    (0..length).map(|_| char::from(alphabet[rng.random_range(0..alphabet.len())])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn a_custom_code_follows_the_policy() {
        let policy = CodePolicy { min_bytes: 3, max_bytes: 5, ..CodePolicy::default() }.with_reserved(["Admin"]);
        policy.check_custom("abc").unwrap();
        for bad in ["ab", "abcdef", "a/b", "admin", "ADMIN", "a b", ".."] {
            assert!(policy.check_custom(bad).is_err(), "{bad:?}");
        }
        CodePolicy::default().with_segments().check_custom("docs/start").unwrap();
        assert!(CodePolicy::default().with_segments().check_custom("docs//start").is_err());
    }

    #[test]
    fn generated_codes_are_codes_without_look_alikes() {
        let generator = CodeGenerator::default();
        for longer in 0..200 {
            for folding in [Folding::Sensitive, Folding::Lower] {
                let code = generator.generate(folding, longer);
                Code::new(&code).unwrap();
                assert!(!code.contains(['0', 'O', 'I', 'l']), "{code}");
                assert!(folding == Folding::Sensitive || code == code.to_lowercase(), "{code}");
            }
        }
        assert_eq!(generator.generate(Folding::Sensitive, 0).len(), 7);
        assert_eq!(generator.generate(Folding::Lower, 0).len(), 9);
        assert_eq!(generator.generate(Folding::Sensitive, 1).len(), 8);
    }

    #[test]
    fn every_character_of_the_alphabet_is_about_as_likely() {
        let text = CodeGenerator::with_length(128).seeded(1);
        let drawn: String = (0..1_000).map(|_| text.generate(Folding::Sensitive, 0)).collect();
        let expected = drawn.len() as f64 / 58.0;
        for &byte in MIXED {
            let seen = drawn.bytes().filter(|&drawn| drawn == byte).count() as f64;
            assert!((seen - expected).abs() < expected / 4.0, "{}: {seen} of {expected}", char::from(byte));
        }
    }

    #[test]
    fn a_seed_repeats() {
        let codes = |seed| {
            let generator = CodeGenerator::default().seeded(seed);
            (0..5).map(|_| generator.generate(Folding::Sensitive, 0)).collect::<Vec<_>>()
        };
        assert_eq!(codes(1), codes(1));
        assert_ne!(codes(1), codes(2));
    }
}
