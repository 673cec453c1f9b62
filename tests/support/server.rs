//! The fake's interface for tests.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::ServerConfig;
use serde_json::{Value, json};

use super::access::Access;
use super::change::Resource;
use super::clock;
use super::kubeconfig;
use super::record::{RequestLog, RequestRecord};
use super::script::{Behaviour, Ending, Script, Target};
use super::serve::Run;
use super::store::Store;
use super::tls::{Authority, Identity, SERVER_NAMES, Validity};

/// How long a restart waits for its port.
const PORT_PATIENCE: Duration = Duration::from_secs(5);

/// The configuration of a fake.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port; 0 for any free one.
    pub port: u16,
    /// False for plain HTTP.
    pub tls: bool,
    /// The token that is accepted from the start.
    pub token: String,
    /// The name of the only node.
    pub node: String,
    /// Number of changes of each resource from which a watch can still resume.
    pub history_max: usize,
    /// The interval between two bookmarks of a watch.
    pub bookmark_interval: Duration,
    /// Whether etcd notifies the watch cache of writes to other resources, so that bookmarks are sent even if no pod
    /// changes. Without the notices a watch from the newest version is silent.
    pub progress_notices: bool,
    /// How long a list waits for a version that the store has not reached yet.
    pub list_wait: Duration,
}

/// A fake API server. When dropped, it stops, and fails the test if the agent made a call that its role does not grant.
pub struct FakeApi {
    shared: Arc<Shared>,
    authority: Authority,
    addr: SocketAddr,
    run: Mutex<Option<Run>>,
}

/// The state shared by all connections.
pub struct Shared {
    pub(super) options: Options,
    pub(super) store: Arc<Store>,
    pub(super) access: Access,
    pub(super) watch_epoch: AtomicU64,
    pub(super) script: Script,
    pub(super) log: RequestLog,
    pub(super) tls: Mutex<Option<Arc<ServerConfig>>>,
    token: Mutex<String>,
    pub(super) accept_fault: Mutex<Option<Ending>>,
    pub(super) connections: AtomicU64,
    pub(super) open_watches: AtomicUsize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            tls: true,
            token: "fake-token".to_owned(),
            node: "node1".to_owned(),
            history_max: 2000,
            bookmark_interval: Duration::from_secs(60),
            progress_notices: true,
            list_wait: Duration::from_secs(3),
        }
    }
}

impl FakeApi {
    /// Starts a fake.
    pub fn start(options: Options) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", options.port)).unwrap();
        let addr = listener.local_addr().unwrap();
        let authority = Authority::new("fake-ca");
        let identity = authority.issue(&SERVER_NAMES, Validity::Valid);
        let store = Store::new(options.history_max);
        store.preload([node(&options.node)], 1);
        let shared = Arc::new(Shared {
            store: Arc::new(store),
            access: Access::new(&options.token),
            watch_epoch: AtomicU64::new(0),
            script: Script::default(),
            log: RequestLog::default(),
            tls: Mutex::new(options.tls.then(|| identity.server_config())),
            token: Mutex::new(options.token.clone()),
            accept_fault: Mutex::new(None),
            connections: AtomicU64::new(0),
            open_watches: AtomicUsize::new(0),
            options,
        });
        let run = Run::start(listener, &shared);
        Self { shared, authority, addr, run: Mutex::new(Some(run)) }
    }

    /// Returns `https://127.0.0.1:port` (or `http:`).
    pub fn url(&self) -> String {
        let scheme = if self.shared.options.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// Returns the listen address, which a restart does not change.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the CA certificate that clients must trust.
    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// Returns the authority, to issue other certificates.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Returns the object store.
    pub fn store(&self) -> &Arc<Store> {
        &self.shared.store
    }

    /// Returns the accepted tokens and the denials.
    pub fn access(&self) -> &Access {
        &self.shared.access
    }

    /// Returns the token that the written files contain.
    pub fn token(&self) -> String {
        self.shared.token.lock().unwrap().clone()
    }

    /// Writes a kubeconfig.
    pub fn write_kubeconfig(&self, path: &Path) {
        let text = kubeconfig::kubeconfig(&self.url(), &self.ca_pem(), &self.token());
        fs::write(path, text).unwrap();
    }

    /// Writes `token`, `ca.crt` and `namespace` into a folder.
    pub fn write_service_account(&self, dir: &Path) {
        kubeconfig::write_service_account(dir, &self.ca_pem(), &self.token());
    }

    /// Accepts this token instead of the current one, and writes it into files written later.
    pub fn rotate_token(&self, token: &str) {
        let old = std::mem::replace(&mut *self.shared.token.lock().unwrap(), token.to_owned());
        self.shared.access.accept_token(token);
        self.shared.access.revoke_token(&old);
    }

    /// Uses this certificate for new connections.
    pub fn use_identity(&self, identity: &Identity) {
        *self.shared.tls.lock().unwrap() = Some(identity.server_config());
    }

    /// Creates or replaces an object (it needs kind and metadata); returns its version.
    pub fn apply(&self, object: Value) -> u64 {
        self.shared.store.apply(object)
    }

    /// Deletes a pod; returns the version of the deletion, or `None` if there was no such pod.
    pub fn delete_pod(&self, namespace: &str, name: &str) -> Option<u64> {
        self.shared.store.delete(Resource::Pods, namespace, name)
    }

    /// Applies this behaviour to the next request of that kind; several behaviours are used in order.
    pub fn once(&self, target: Target, behaviour: Behaviour) {
        self.times(1, target, behaviour);
    }

    /// Applies this behaviour to the next `times` requests of that kind.
    pub fn times(&self, times: usize, target: Target, behaviour: Behaviour) {
        self.shared.script.push(target, Some(times), behaviour);
    }

    /// Applies this behaviour to every request of that kind for which no counted one is waiting.
    pub fn always(&self, target: Target, behaviour: Behaviour) {
        self.shared.script.push(target, None, behaviour);
    }

    /// Returns the script, to clear it or to see what is still waiting.
    pub fn script(&self) -> &Script {
        &self.shared.script
    }

    /// Sets what happens to new connections before TLS: nothing, or this ending.
    pub fn on_accept(&self, fault: Option<Ending>) {
        *self.shared.accept_fault.lock().unwrap() = fault;
    }

    /// Returns every request so far, oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.log.all()
    }

    /// Returns the number of requests with this verb and resource.
    pub fn count(&self, verb: &str, resource: &str) -> usize {
        self.requests().iter().filter(|r| r.verb == verb && r.resource == resource).count()
    }

    /// Returns the number of watches that have started and are not over. A client's close is noticed within 0.1 s.
    pub fn open_watches(&self) -> usize {
        self.shared.open_watches.load(Ordering::SeqCst)
    }

    /// Closes all running watches cleanly, as the server does to slow clients or at its shutdown.
    pub fn end_watches(&self) {
        self.shared.watch_epoch.fetch_add(1, Ordering::SeqCst);
        self.shared.store.wake();
    }

    /// Closes the listener and cuts all connections; new connections are refused.
    pub fn stop(&self) {
        if let Some(run) = self.run.lock().unwrap().take() {
            run.stop(self.addr, &self.shared);
        }
    }

    /// Stops, and starts on the same port with a watch cache without history.
    pub fn restart(&self) {
        self.stop();
        self.shared.store.compact();
        let mut listener = None;
        // A connection of another test may use the port for a moment.
        clock::eventually(PORT_PATIENCE, || {
            listener = TcpListener::bind(self.addr).ok();
            listener.is_some()
        });
        let listener = listener.expect("the port is taken");
        *self.run.lock().unwrap() = Some(Run::start(listener, &self.shared));
    }
}

impl Drop for FakeApi {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.stop();
            let ungranted = self.shared.log.ungranted();
            assert!(ungranted.is_empty(), "the agent's role does not grant {ungranted:?}");
        }
    }
}

fn node(name: &str) -> Value {
    json!({
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {
            "name": name, "uid": "5c1d3a1e-0000-4000-8000-000000000001", "resourceVersion": "1",
            "creationTimestamp": "2026-11-23T03:00:00Z",
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "spec": {},
        "status": {
            "addresses": [{"type": "Hostname", "address": name}],
            "capacity": {"cpu": "2", "memory": "8Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "nodeInfo": {
                "architecture": "amd64", "containerRuntimeVersion": "containerd://1.6.20",
                "kubeletVersion": "v1.36.0", "operatingSystem": "linux",
            },
        },
    })
}
