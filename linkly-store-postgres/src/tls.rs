//! TLS by rustls, with ring: its build needs a C compiler and nothing else.

use std::path::Path;
use std::sync::Arc;

use linkly_core::{Error, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error;

/// Trusts the certificates in the file, or the public roots without one.
pub(crate) fn connector(file: Option<&Path>) -> Result<MakeRustlsConnect> {
    let roots = match file {
        Some(file) => roots_in(file)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    // The provider by name: the app may have another as its default, or none.
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error::failed(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn roots_in(file: &Path) -> Result<RootCertStore> {
    let invalid = |reason: String| Error::invalid("tls_root_certificate", format!("{}: {reason}", file.display()));
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| invalid(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
        roots.add(certificate).map_err(|error| invalid(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(invalid("it holds no certificate in PEM".to_owned()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_named() {
        for file in ["/nowhere/root.pem", "/dev/null"] {
            let error = connector(Some(Path::new(file))).err().unwrap();
            assert!(error.is_invalid_input() && error.to_string().contains(file), "{error}");
        }
        connector(None).unwrap();
    }
}
