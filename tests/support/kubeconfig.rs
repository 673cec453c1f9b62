//! The files with which a client finds and trusts the fake.

use std::fs;
use std::path::Path;

use super::base64;

/// Returns the text of a kubeconfig with one context.
pub fn kubeconfig(url: &str, ca_pem: &str, token: &str) -> String {
    let ca = base64::encode(ca_pem.as_bytes());
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         current-context: fake\n\
         clusters:\n\
         - name: fake-cluster\n\
        \x20 cluster:\n\
        \x20   server: {url}\n\
        \x20   certificate-authority-data: {ca}\n\
         users:\n\
         - name: agent\n\
        \x20 user:\n\
        \x20   token: {token}\n\
         contexts:\n\
         - name: fake\n\
        \x20 context:\n\
        \x20   cluster: fake-cluster\n\
        \x20   user: agent\n\
        \x20   namespace: default\n"
    )
}

/// Writes the three files of a pod's service account.
pub fn write_service_account(dir: &Path, ca_pem: &str, token: &str) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("ca.crt"), ca_pem).unwrap();
    fs::write(dir.join("namespace"), "blackbox").unwrap();
    fs::write(dir.join("token"), token).unwrap();
}
