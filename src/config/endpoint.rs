//! The address of a server and the credentials for it, as plain data for the HTTP client.
//!
//! The files named here are read once together with the configuration, so that a wrong path makes the start
//! fail. The client reads them again by path, because tokens and CAs are rotated while it runs.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use rustls::pki_types::ServerName;

/// A server and the credentials for it: the API server, or a collector of incidents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address of the server.
    pub server: Server,
    /// The name expected in the server's certificate, a DNS name or an IP address that rustls accepts. `None`:
    /// the server's host.
    pub tls_server_name: Option<String>,
    /// How the server's certificate is verified.
    pub trust: Trust,
    /// What the agent authenticates with.
    pub credentials: Credentials,
}

/// The protocol spoken to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP over TLS.
    Https,
    /// Plain HTTP, as `kubectl proxy` offers it.
    Http,
}

impl Scheme {
    /// Returns the scheme as it is written in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

/// The base URL of an API server, in parts. `Display` prints it as that URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The protocol.
    pub scheme: Scheme,
    /// A DNS name or an IP address; IPv6 without brackets.
    pub host: String,
    /// The TCP port; never 0.
    pub port: u16,
    /// The path before `/api`: either empty, or starting and not ending with `/`.
    pub base_path: String,
}

impl Server {
    /// Returns the server that Kubernetes names to every pod. `host` may be an IPv6 address, without brackets.
    /// Returns `None` if `host` is neither a DNS name nor an IP address.
    pub(super) fn in_cluster(host: &str, port: u16) -> Option<Self> {
        is_server_name(host).then(|| Self {
            scheme: Scheme::Https,
            host: host.to_owned(),
            port,
            base_path: String::new(),
        })
    }

    /// Parses `http[s]://host[:port][/base]`, the form used in kubeconfigs. The error describes what is wrong
    /// with the URL without repeating it: a URL may contain a password.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = if let Some(rest) = strip_prefix_ignoring_case(url, "https://") {
            (Scheme::Https, rest)
        } else if let Some(rest) = strip_prefix_ignoring_case(url, "http://") {
            (Scheme::Http, rest)
        } else {
            return Err("does not start with https:// or http://");
        };
        let path_start = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path_start);
        if authority.contains('@') {
            return Err("contains a user name");
        }
        if path.contains(['?', '#']) {
            return Err("contains a query or a fragment");
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has a path with spaces or characters that are not ASCII");
        }
        let (host, port) = split_authority(authority)?;
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port: match port {
                None => scheme.default_port(),
                Some(port) => {
                    parse_port(port).ok_or("has a port that is not between 1 and 65535")?
                }
            },
            base_path: path.trim_end_matches('/').to_owned(),
        })
    }

    /// Returns the base URL, without a trailing `/` and always with the port:
    /// `https://[fd00::1]:6443/k8s/clusters/c-1`.
    pub fn url(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port, base_path } = self;
        let scheme = scheme.name();
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}{base_path}")
        } else {
            write!(f, "{scheme}://{host}:{port}{base_path}")
        }
    }
}

/// How the API server's certificate is verified.
#[derive(Clone, PartialEq, Eq)]
pub enum Trust {
    /// The certificate is verified against the CAs in this PEM file. The file is replaced when the CA is
    /// rotated, so it must be read again by path.
    CaFile(PathBuf),
    /// The certificate is verified against these CAs, as PEM.
    CaData(Vec<u8>),
    /// The certificate is not verified: whoever answers gets the token. Only used if the kubeconfig demands it.
    SkipVerification,
    /// There is no certificate: the server speaks plain HTTP.
    Plaintext,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CaFile(path) => write!(f, "CaFile({path:?})"),
            Self::CaData(pem) => write!(f, "CaData({} bytes)", pem.len()),
            Self::SkipVerification => f.write_str("SkipVerification"),
            Self::Plaintext => f.write_str("Plaintext"),
        }
    }
}

/// What the agent sends to authenticate to the API server. Both parts may be present, or neither (anonymous
/// access).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The source of the bearer token.
    pub token: TokenSource,
    /// The client certificate for the TLS handshake.
    pub client_cert: Option<ClientCert>,
}

/// The source of a bearer token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// There is no token.
    None,
    /// The token is given in the configuration and never changes.
    Inline(Secret),
    /// The token is in a file that is replaced before the token expires.
    File {
        /// Path of the file. Blanks around the token are not part of it.
        path: PathBuf,
        /// The token to use as long as the file cannot be read. If it is `None`, the file was read together
        /// with the configuration and contained a token.
        seed: Option<Secret>,
    },
}

/// A client certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCert {
    /// One certificate or a chain, the leaf first.
    pub certificate: PemSource,
    /// The certificate's private key, not encrypted.
    pub key: PemSource,
}

/// The source of a PEM text.
#[derive(Clone, PartialEq, Eq)]
pub enum PemSource {
    /// A file, which must be read again by path when it is replaced.
    File(PathBuf),
    /// The text itself.
    Data(Vec<u8>),
}

impl fmt::Debug for PemSource {
    /// Never shows the text: it may be a private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({path:?})"),
            Self::Data(pem) => write!(f, "Data({} bytes)", pem.len()),
        }
    }
}

/// A text that must not appear in logs or errors.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

/// Returns true if rustls can verify a certificate for that name: it is a DNS name or an IP address.
pub(super) fn is_server_name(name: &str) -> bool {
    ServerName::try_from(name).is_ok()
}

/// Parses a TCP port to connect to, 1 to 65535.
pub(super) fn parse_port(text: &str) -> Option<u16> {
    // `u16::from_str` also accepts a plus sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// Splits `host[:port]` or `[ipv6][:port]` into the host (without brackets) and the port.
fn split_authority(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("has a '[' without a ']'")?;
        host.parse::<Ipv6Addr>().map_err(|_| "has no IPv6 address inside its brackets")?;
        match (after, after.strip_prefix(':')) {
            ("", _) => (host, None),
            (_, Some(port)) => (host, Some(port)),
            (_, None) => return Err("has something other than a port after its ']'"),
        }
    } else {
        match authority.split_once(':') {
            None => (authority, None),
            Some((_, rest)) if rest.contains(':') => {
                return Err("has an IPv6 address without brackets");
            }
            Some((host, port)) => (host, Some(port)),
        }
    };
    if !is_server_name(host) {
        return Err("has a host that is neither a DNS name nor an IP address");
    }
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_url_is_split_and_shown_again() {
        for (url, shown) in [
            ("https://10.0.0.1:6443", "https://10.0.0.1:6443"),
            ("https://api.example.com", "https://api.example.com:443"),
            ("HTTPS://api.example.com/", "https://api.example.com:443"),
            ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
            ("http://localhost", "http://localhost:80"),
            ("https://[fd00::1]:6443", "https://[fd00::1]:6443"),
            ("https://[::1]", "https://[::1]:443"),
            ("https://rancher/k8s/clusters/c-1/", "https://rancher:443/k8s/clusters/c-1"),
        ] {
            let server = Server::parse(url);
            assert_eq!(server.as_ref().map(Server::url), Ok(shown.to_owned()), "{url}");
            assert!(!server.unwrap().host.contains('['), "{url}");
        }
    }

    #[test]
    fn a_url_that_no_api_server_has_is_refused_without_repeating_it() {
        for url in [
            "",
            "10.0.0.1:6443",
            "ftp://host",
            "https://",
            "https://:6443",
            "https://host:",
            "https://host:0",
            "https://host:+1",
            "https://host:65536",
            "https://host:https",
            "https://fd00::1:6443",
            "https://[fd00::1",
            "https://[fd00::1]6443",
            "https://[10.0.0.1]:6443",
            "https://ho st",
            "https://host/a b",
            "https://host?q=secret",
            "https://host/#secret",
            "https://user:secret@host",
        ] {
            let wrong = Server::parse(url).unwrap_err();
            assert!(!wrong.contains("secret"), "{url}: {wrong}");
        }
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let credentials = Credentials {
            token: TokenSource::File { path: "token".into(), seed: Some(Secret::new("hunter2")) },
            client_cert: Some(ClientCert {
                certificate: PemSource::File("cert".into()),
                key: PemSource::Data(b"hunter2".to_vec()),
            }),
        };
        let shown = format!("{credentials:?} {:?}", TokenSource::Inline(Secret::new("hunter2")));
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!shown.contains("104, 117"), "{shown}");
    }
}
