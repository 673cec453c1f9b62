//! Tokens, CAs and client certificates, as they are on the disk now.
//!
//! The kubelet replaces a pod's token long before it expires, and a client that reads it only once fails an
//! hour, a day or a year later. So every file is read again by its path (rotation replaces a link, and an open
//! file would stay the old one): the token each minute and after a 401, certificates each minute and after a
//! failed connection. If a file cannot be read or used, the last good version stays in use, and one warning is
//! logged.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{ALL_VERSIONS, ClientConfig, RootCertStore};
use ureq::tls::{
    Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsConfigBuilder, TlsProvider,
};

use crate::config::endpoint::{Endpoint, PemSource, Secret, TokenSource, Trust};
use crate::config::files;
use crate::limits::CREDENTIALS_READ_INTERVAL;
use crate::runtime::trouble::Trouble;

/// The bearer token.
#[derive(Debug)]
pub(super) struct Token {
    source: TokenSource,
    current: Option<Secret>,
    read_at: Option<Duration>,
    trouble: Trouble,
}

impl Token {
    /// Makes a token that is read when it is first requested.
    pub(super) fn new(source: TokenSource) -> Self {
        let current = match &source {
            TokenSource::None => None,
            TokenSource::Inline(secret) => Some(secret.clone()),
            TokenSource::File { seed, .. } => seed.clone(),
        };
        Self { source, current, read_at: None, trouble: Trouble::new(module_path!(), "token") }
    }

    /// Returns true if there is none, now and later.
    pub(super) fn is_none(&self) -> bool {
        self.source == TokenSource::None
    }

    /// Returns the token, read again if it is older than a minute.
    pub(super) fn get(&mut self, now: Duration) -> Option<&Secret> {
        if let TokenSource::File { path, .. } = &self.source {
            let due = self.read_at.is_none_or(|at| now >= at + CREDENTIALS_READ_INTERVAL);
            if due {
                self.read_at = Some(now);
                match files::require_token(path) {
                    Ok(token) => {
                        self.current = Some(token);
                        self.trouble.over("the token file is valid again");
                    }
                    Err(why) => self
                        .trouble
                        .warn(&format!("{why}; the agent keeps using the last valid token")),
                }
            }
        }
        self.current.as_ref()
    }

    /// Records that the server refused the token, so that the next request reads it again.
    pub(super) fn refused(&mut self) {
        self.read_at = None;
    }
}

/// The files from which TLS is set up.
#[derive(Debug)]
pub(super) struct TlsFiles {
    trust: Trust,
    client_cert: Option<crate::config::endpoint::ClientCert>,
    /// CA, certificate and key as last used; new contents are compared with them byte by byte.
    used: Option<[Vec<u8>; 3]>,
    read_at: Option<Duration>,
    trouble: Trouble,
}

impl TlsFiles {
    /// Makes the value without reading any file.
    pub(super) fn new(endpoint: &Endpoint) -> Self {
        Self {
            trust: endpoint.trust.clone(),
            client_cert: endpoint.credentials.client_cert.clone(),
            used: None,
            read_at: None,
            trouble: Trouble::new(module_path!(), "certificates"),
        }
    }

    /// Makes the next call of [`TlsFiles::changed`] read the files again, because a connection failed.
    pub(super) fn recheck(&mut self) {
        self.read_at = None;
    }

    /// Returns the TLS setup if it has changed since the last call. `None` means that it has not changed.
    pub(super) fn changed(&mut self, now: Duration) -> Option<TlsSetUp> {
        if self.read_at.is_some_and(|at| now < at + CREDENTIALS_READ_INTERVAL) {
            return None;
        }
        self.read_at = Some(now);
        let set_up = self.read().and_then(|read| {
            if self.used.as_ref() == Some(&read) {
                return Ok(None);
            }
            let config = self.config(&read)?;
            self.used = Some(read);
            Ok(Some(config))
        });
        match set_up {
            Ok(config) => {
                self.trouble.over("the certificate files are valid again");
                config
            }
            Err(why) => {
                self.trouble
                    .warn(&format!("{why}; the agent keeps using the last valid certificates"));
                None
            }
        }
    }

    fn read(&self) -> Result<[Vec<u8>; 3], String> {
        let pem = |source: &PemSource| match source {
            PemSource::File(path) => files::require(path),
            PemSource::Data(data) => Ok(data.clone()),
        };
        let ca = match &self.trust {
            Trust::CaFile(path) => files::require(path)?,
            Trust::CaData(data) => data.clone(),
            Trust::SkipVerification | Trust::Plaintext => Vec::new(),
        };
        match &self.client_cert {
            Some(cert) => Ok([ca, pem(&cert.certificate)?, pem(&cert.key)?]),
            None => Ok([ca, Vec::new(), Vec::new()]),
        }
    }

    fn config(&self, [ca, certificate, key]: &[Vec<u8>; 3]) -> Result<TlsSetUp, String> {
        let identity = match self.client_cert {
            Some(_) => Some(identity(certificate, key)?),
            None => None,
        };
        if let Trust::CaFile(_) | Trust::CaData(_) = self.trust {
            return verified(roots(ca)?, identity).map_err(|e| format!("TLS: {e}"));
        }
        let mut builder = nobody().disable_verification(self.trust == Trust::SkipVerification);
        if let Some((chain, _)) = identity {
            let chain: Vec<_> = chain.iter().map(|c| Certificate::from_der(c).to_owned()).collect();
            let key = PrivateKey::from_pem(key).map_err(|e| format!("the client key: {e}"))?;
            builder = builder.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
        }
        Ok(TlsSetUp::Unverified(builder.build()))
    }
}

/// How connections are secured.
#[derive(Clone, Debug)]
pub(super) enum TlsSetUp {
    /// The server's certificate is verified against the CA.
    Verified(Arc<ClientConfig>),
    /// The server's certificate is not verified, or there is no TLS at all.
    Unverified(TlsConfig),
}

impl TlsSetUp {
    /// Returns a setup for the time before any certificate can be read: no server is trusted, and the files are
    /// read again.
    pub(super) fn no_trust() -> Self {
        verified(RootCertStore::empty(), None)
            .unwrap_or_else(|_| Self::Unverified(nobody().build()))
    }
}

/// Returns the configuration of the HTTP library's own TLS, which trusts no server.
fn nobody() -> TlsConfigBuilder {
    TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(RootCerts::Specific(Arc::default()))
}

fn verified(roots: RootCertStore, identity: Option<Identity>) -> Result<TlsSetUp, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(ALL_VERSIONS)?
        .with_root_certificates(roots);
    let config = match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    Ok(TlsSetUp::Verified(Arc::new(config)))
}

/// Parses the CAs in a PEM text; at least one must be usable.
fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    let (usable, _) = store.add_parsable_certificates(certificates(pem, "the CA")?);
    if usable == 0 {
        return Err("the CA contains no certificate that TLS can use".to_owned());
    }
    Ok(store)
}

/// The client's identity: a chain of certificates, and the key of the first.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Parses certificate and key. Whether they belong together is checked here, because the TLS library assumes
/// that they do.
fn identity(certificate: &[u8], key: &[u8]) -> Result<Identity, String> {
    let chain = certificates(certificate, "the client certificate")?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| "the client key contains no private key".to_owned())?;
    CertifiedKey::from_der(chain.clone(), key.clone_key(), &ring::default_provider())
        .map_err(|e| format!("the client certificate and key cannot be used: {e}"))?;
    Ok((chain, key))
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(format!("{what} contains no certificate")),
        Err(_) => Err(format!("{what} contains a broken PEM block")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::config::endpoint::{ClientCert as Files, Credentials, Scheme, Server};

    const MINUTE: Duration = Duration::from_secs(60);

    /// A folder that is deleted when the test ends.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("blackbox-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Returns a certificate and its key, as PEM.
    fn identity() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["agent".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn cluster(trust: Trust, client_cert: Option<Files>) -> Endpoint {
        let (host, base_path) = ("localhost".to_owned(), String::new());
        Endpoint {
            server: Server { scheme: Scheme::Https, host, port: 6443, base_path },
            tls_server_name: None,
            trust,
            credentials: Credentials { token: TokenSource::None, client_cert },
        }
    }

    #[test]
    fn a_token_is_read_each_minute_and_after_a_refusal_and_the_last_good_one_is_kept() {
        let folder = Folder::new("token");
        let path = folder.write("token", "one\n");
        let mut token = Token::new(TokenSource::File { path: path.clone(), seed: None });
        let get = |token: &mut Token, now| token.get(now).map(|t| t.expose().to_owned());
        assert_eq!(get(&mut token, Duration::ZERO).as_deref(), Some("one"));
        folder.write("token", "two");
        assert_eq!(get(&mut token, MINUTE / 2).as_deref(), Some("one"), "not read each time");
        token.refused();
        assert_eq!(get(&mut token, MINUTE / 2).as_deref(), Some("two"));
        for bad in ["", "  \n", "a b"] {
            folder.write("token", bad);
            token.refused();
            assert_eq!(get(&mut token, MINUTE).as_deref(), Some("two"), "{bad:?}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(get(&mut token, 3 * MINUTE).as_deref(), Some("two"));
        folder.write("token", "three");
        assert_eq!(get(&mut token, 4 * MINUTE).as_deref(), Some("three"));
    }

    #[test]
    fn a_ca_that_changes_is_taken_and_one_that_is_broken_is_not() {
        let folder = Folder::new("ca");
        let path = folder.write("ca.crt", &identity().0);
        let mut files = TlsFiles::new(&cluster(Trust::CaFile(path), None));
        assert!(files.changed(Duration::ZERO).is_some());
        assert!(files.changed(2 * MINUTE).is_none(), "the same bytes");
        folder.write("ca.crt", &identity().0);
        assert!(files.changed(2 * MINUTE + MINUTE / 2).is_none(), "not looked at yet");
        files.recheck();
        assert!(files.changed(2 * MINUTE + MINUTE / 2).is_some(), "a connection failed");
        for bad in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
        {
            folder.write("ca.crt", bad);
            files.recheck();
            assert!(files.changed(5 * MINUTE).is_none(), "{bad:?}");
        }
        folder.write("ca.crt", &identity().0);
        files.recheck();
        assert!(files.changed(9 * MINUTE).is_some());
    }

    #[test]
    fn a_client_certificate_must_fit_its_key() {
        let ((cert, key), (_, other_key)) = (identity(), identity());
        for (key, fits) in [(&key, true), (&other_key, false)] {
            let files = Files {
                certificate: PemSource::Data(cert.clone().into_bytes()),
                key: PemSource::Data(key.clone().into_bytes()),
            };
            let cluster = cluster(Trust::CaData(cert.clone().into_bytes()), Some(files));
            assert_eq!(TlsFiles::new(&cluster).changed(Duration::ZERO).is_some(), fits);
        }
    }
}
