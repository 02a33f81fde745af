//! A key pair and tokens signed with it (RFC 8037), for a server that checks them.
//!
//! By the `openssl` program: a crate for the signature would be built for this alone.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::program;

/// The file that a server checks tokens with, in its folder.
pub(crate) const PUBLIC_KEY: &str = "public-key.pem";
const KEY: &str = "key.pem";
const HEADER: &str = r#"{"alg":"EdDSA","typ":"JWT"}"#;
const HOUR: Duration = Duration::from_secs(3_600);

/// Two tokens of one key.
pub(crate) struct Tokens {
    pub(crate) valid: String,
    pub(crate) expired: String,
}

impl Tokens {
    /// Makes a key pair in the folder.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        openssl(folder, &["genpkey", "-algorithm", "ed25519", "-out", KEY]);
        openssl(folder, &["pkey", "-in", KEY, "-pubout", "-out", PUBLIC_KEY]);
        let now = SystemTime::now();
        Self { valid: token(folder, now + 24 * HOUR), expired: token(folder, now - HOUR) }
    }
}

fn token(folder: &Path, expires_at: SystemTime) -> String {
    let expires_at = expires_at.duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs();
    // sqld's own claim: `a` is what its bearer may do.
    let claims = format!(r#"{{"a":"rw","exp":{expires_at}}}"#);
    let signed = format!("{}.{}", base64(HEADER.as_bytes()), base64(claims.as_bytes()));
    // From a file, since the algorithm goes over its input twice.
    fs::write(folder.join("signed"), &signed).expect("the folder is there");
    let signature = openssl(folder, &["pkeyutl", "-sign", "-inkey", KEY, "-rawin", "-in", "signed"]);
    format!("{signed}.{}", base64(&signature))
}

fn openssl(folder: &Path, args: &[&str]) -> Vec<u8> {
    let program = program::required("openssl", "openssl");
    let output = Command::new(&program).args(args).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {}: {error}", program.display()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {} failed (version 3 is needed)\n{errors}", args[0]);
    output.stdout
}

/// The URL-safe alphabet without padding (RFC 4648, section 5).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits =
            group.iter().enumerate().fold(0_usize, |bits, (at, byte)| bits | usize::from(*byte) << (16 - 8 * at));
        for at in 0..=group.len() {
            text.push(char::from(ALPHABET[bits >> (18 - 6 * at) & 63]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc_without_padding() {
        for (bytes, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "-_8");
    }
}
