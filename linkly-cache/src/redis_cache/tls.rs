//! Encrypted connections.

use rustls::crypto::{CryptoProvider, ring};

/// The driver takes the process's provider. Where none is installed rustls makes one of the crate that it was built
/// with, and panics if there are two, since another crate of the app has brought another.
pub(crate) fn have_a_provider() {
    if CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster.
        let _ = ring::default_provider().install_default();
    }
}
