//! Small files that the configuration names: read completely, with a size limit, and checked.
//!
//! Each error is the part of a sentence that describes the problem. It contains the path and never a byte of
//! the content.

use std::io::{self, Read};
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::limits;
use crate::runtime::files::{Links, open_regular};

use super::endpoint::Secret;

/// What a PEM text must contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pem {
    /// At least one certificate, and no broken one.
    Certificates,
    /// A private key that is not encrypted.
    PrivateKey,
}

/// Reads a file of at most [`limits::CONFIG_FILE_BYTES_MAX`].
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = limits::CONFIG_FILE_BYTES_MAX;
    // A projected volume names its files by links.
    open_regular(path, Links::Follow)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {limit} bytes"),
        ));
    }
    Ok(bytes)
}

/// Reads a file that must exist.
pub(crate) fn require(path: &Path) -> Result<Vec<u8>, String> {
    read(path).map_err(|error| format!("cannot read {path:?}: {error}"))
}

/// Reads the bearer token in a file.
pub(crate) fn require_token(path: &Path) -> Result<Secret, String> {
    token(require(path)?).map_err(|wrong| format!("{path:?} {wrong}"))
}

/// Returns the bearer token without the blanks around it. The caller puts the token's location before the
/// error. A token that cannot be part of a header would make every request fail, with an error that does not
/// show the cause.
pub(super) fn token(bytes: Vec<u8>) -> Result<Secret, &'static str> {
    let token = bytes.trim_ascii();
    if token.is_empty() {
        return Err("is empty");
    }
    if token.len() > limits::TOKEN_BYTES_MAX {
        return Err("is larger than a token can be (24 KiB)");
    }
    if !token.iter().all(u8::is_ascii_graphic) {
        return Err(
            "does not contain a token: it has spaces, line breaks or non-ASCII bytes inside",
        );
    }
    String::from_utf8(token.to_vec()).map(Secret::new).map_err(|_| "does not contain a token")
}

/// Checks that a file contains what the TLS client will look for in it.
pub(super) fn require_pem(path: &Path, kind: Pem) -> Result<(), String> {
    check_pem(&require(path)?, kind).map_err(|wrong| format!("{path:?} {wrong}"))
}

/// Checks a PEM text. The caller puts the text's location before the error.
pub(super) fn check_pem(text: &[u8], kind: Pem) -> Result<(), &'static str> {
    if text.trim_ascii().is_empty() {
        return Err("is empty");
    }
    match kind {
        Pem::Certificates => {
            let mut certificates = 0;
            for certificate in CertificateDer::pem_slice_iter(text) {
                certificate.map_err(|_| "contains a broken PEM block")?;
                certificates += 1;
            }
            if certificates == 0 {
                return Err("contains no certificate (a PEM block BEGIN CERTIFICATE)");
            }
        }
        Pem::PrivateKey => {
            PrivateKeyDer::from_pem_slice(text).map_err(
                |_| "contains no private key without a password (a PEM block PRIVATE KEY)",
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_pem_text_must_hold_what_it_is_named_for() {
        let key = CERTIFICATE.replace("CERTIFICATE", "PRIVATE KEY");
        let ec_key = CERTIFICATE.replace("CERTIFICATE", "EC PRIVATE KEY");
        let rsa_key = CERTIFICATE.replace("CERTIFICATE", "RSA PRIVATE KEY");
        let encrypted = CERTIFICATE.replace("CERTIFICATE", "ENCRYPTED PRIVATE KEY");
        let both = format!("# a comment\n{key}{CERTIFICATE}{CERTIFICATE}");
        let cut = &CERTIFICATE[..CERTIFICATE.len() / 2];
        for (text, certificates, private_key) in [
            (CERTIFICATE, true, false),
            (&key, false, true),
            (&ec_key, false, true),
            (&rsa_key, false, true),
            (&encrypted, false, false),
            (&both, true, true),
            (cut, false, false),
            ("", false, false),
            (" \n", false, false),
            ("MIIB", false, false),
        ] {
            let ok = |kind| check_pem(text.as_bytes(), kind).is_ok();
            assert_eq!(ok(Pem::Certificates), certificates, "{text:?}");
            assert_eq!(ok(Pem::PrivateKey), private_key, "{text:?}");
        }
        let half_broken = format!("{CERTIFICATE}{cut}");
        assert!(check_pem(half_broken.as_bytes(), Pem::Certificates).is_err());
    }

    #[test]
    fn a_token_fits_into_a_header() {
        for (text, expected) in [
            ("abc.def-_=", Some("abc.def-_=")),
            ("  abc\r\n", Some("abc")),
            ("", None),
            ("\n", None),
            ("a b", None),
            ("a\nb", None),
            ("a\0b", None),
            ("\u{e9}", None),
        ] {
            let token = token(text.as_bytes().to_vec()).ok();
            assert_eq!(token.as_ref().map(Secret::expose), expected, "{text:?}");
        }
    }
}
