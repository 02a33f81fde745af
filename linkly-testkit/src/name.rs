//! Names that nobody has used before.

/// Fit for a database, a prefix, a password: letters and digits, 128 bits at random.
pub(crate) fn random() -> String {
    format!("{:032x}", rand::random::<u128>())
}
