//! Finds the API server and the credentials inside a pod, from two variables and the service account's folder.

use std::path::Path;

use super::endpoint::{Credentials, Endpoint, Server, TokenSource, Trust, parse_port};
use super::environment::Environment;
use super::files::{self, Pem};
use super::problem::Problem;
use super::settings::SERVICE_ACCOUNT;
use super::values;

const HOST: &str = "KUBERNETES_SERVICE_HOST";
const PORT: &str = "KUBERNETES_SERVICE_PORT";
const ELSEWHERE: &str =
    "Kubernetes sets it in every pod: run the agent in a pod, or set KUBECONFIG";
const GIVE_TOKEN: &str = "mount the service account's files into the pod \
                          (automountServiceAccountToken: true), or set KUBECONFIG";

/// Returns the API server of the pod's own cluster, found in the same way as by client-go's `InClusterConfig`. It is
/// stricter: without a CA the start fails, because no other root would vouch for the API server.
pub(super) fn api_server(environment: &mut Environment, folder: &Path) -> Option<Endpoint> {
    let host = environment.value(HOST, ELSEWHERE);
    let port = environment.value(PORT, ELSEWHERE);
    let findings = &mut environment.findings;
    if host.is_none() && port.is_none() {
        // Outside a pod everything else is missing as well, so one problem is enough.
        findings.problems.push(Problem::unset(HOST, "not set", ELSEWHERE));
        return None;
    }
    let server = findings.note(server(host.as_deref(), port.as_deref()));

    let problem = |wrong| Problem::new(SERVICE_ACCOUNT.key, folder.display(), wrong, GIVE_TOKEN);
    let (token, ca) = (folder.join("token"), folder.join("ca.crt"));
    let token_read = findings.note(files::require_token(&token).map_err(problem));
    let ca_read = findings.note(files::require_pem(&ca, Pem::Certificates).map_err(problem));
    token_read.and(ca_read)?;
    Some(Endpoint {
        server: server?,
        tls_server_name: None,
        trust: Trust::CaFile(ca),
        credentials: Credentials {
            token: TokenSource::File { path: token, seed: None },
            client_cert: None,
        },
    })
}

fn server(host: Option<&str>, port: Option<&str>) -> Result<Server, Problem> {
    let host = host.ok_or_else(|| Problem::unset(HOST, "not set", ELSEWHERE))?;
    let port = port.ok_or_else(|| Problem::unset(PORT, "not set", ELSEWHERE))?;
    let number = parse_port(port)
        .ok_or_else(|| Problem::new(PORT, port, "not a port", "allowed: 1 to 65535"))?;
    Server::in_cluster(host, number).ok_or_else(|| {
        let wrong = "neither a DNS name nor an IP address";
        Problem::new(HOST, host, wrong, ELSEWHERE)
    })
}

/// Returns the namespace that the pod runs in, if the folder contains it. A missing file is normal outside a
/// pod and not reported, because the namespace is only a convenience.
pub(super) fn namespace(folder: &Path) -> Option<String> {
    let bytes = files::read(&folder.join("namespace")).ok()?;
    values::namespace(std::str::from_utf8(&bytes).ok()?.trim()).ok()
}
