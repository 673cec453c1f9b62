//! The fake as tests see it.

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

/// How a fake is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// 0: any free one.
    pub port: u16,
    /// False: plain HTTP.
    pub tls: bool,
    /// The token that is accepted from the start.
    pub token: String,
    /// The one node there is.
    pub node: String,
    /// Changes of each resource that a watch can still start from.
    pub history_max: usize,
    /// Between two bookmarks of a watch.
    pub bookmark_interval: Duration,
    /// Whether etcd tells the watch cache of writes to other resources, so that bookmarks come even where no pod
    /// changes. Without them a watch from the newest version is silent.
    pub progress_notices: bool,
    /// How long a list waits for a version of the future.
    pub list_wait: Duration,
}

/// A fake API server; it stops when dropped.
pub struct FakeApi {
    shared: Arc<Shared>,
    authority: Authority,
    addr: SocketAddr,
    run: Mutex<Option<Run>>,
}

/// What all connections look at.
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
    /// Starts one.
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

    /// `https://127.0.0.1:port`.
    pub fn url(&self) -> String {
        let scheme = if self.shared.options.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// Where it listens; the same after a restart.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The certificate to trust.
    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// The authority, to issue other certificates.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The objects.
    pub fn store(&self) -> &Arc<Store> {
        &self.shared.store
    }

    /// Tokens and denials.
    pub fn access(&self) -> &Access {
        &self.shared.access
    }

    /// The token that the written files carry.
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

    /// Accepts only this token of the two from now on, and writes it into files written later.
    pub fn rotate_token(&self, token: &str) {
        let old = std::mem::replace(&mut *self.shared.token.lock().unwrap(), token.to_owned());
        self.shared.access.accept_token(token);
        self.shared.access.revoke_token(&old);
    }

    /// Shows this certificate to new connections.
    pub fn use_identity(&self, identity: &Identity) {
        *self.shared.tls.lock().unwrap() = Some(identity.server_config());
    }

    /// Creates or replaces an object (it needs kind and metadata); its version.
    pub fn apply(&self, object: Value) -> u64 {
        self.shared.store.apply(object)
    }

    /// Deletes a pod; the version of the deletion, if there was one.
    pub fn delete_pod(&self, namespace: &str, name: &str) -> Option<u64> {
        self.shared.store.delete(Resource::Pods, namespace, name)
    }

    /// The next request of that kind gets this behaviour; several wait in order.
    pub fn once(&self, target: Target, behaviour: Behaviour) {
        self.times(1, target, behaviour);
    }

    /// The next `times` requests of that kind get this behaviour.
    pub fn times(&self, times: usize, target: Target, behaviour: Behaviour) {
        self.shared.script.push(target, Some(times), behaviour);
    }

    /// Every request of that kind gets this behaviour, unless a counted one waits for it.
    pub fn always(&self, target: Target, behaviour: Behaviour) {
        self.shared.script.push(target, None, behaviour);
    }

    /// The script, to clear it or to see what still waits.
    pub fn script(&self) -> &Script {
        &self.shared.script
    }

    /// What happens to new connections before TLS: nothing, or this ending.
    pub fn on_accept(&self, fault: Option<Ending>) {
        *self.shared.accept_fault.lock().unwrap() = fault;
    }

    /// Every request so far, the oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.log.all()
    }

    /// How many requests of a verb and resource there were.
    pub fn count(&self, verb: &str, resource: &str) -> usize {
        self.requests().iter().filter(|r| r.verb == verb && r.resource == resource).count()
    }

    /// Watches past their beginning and not over. A client's goodbye is noticed within a tenth of a second.
    pub fn open_watches(&self) -> usize {
        self.shared.open_watches.load(Ordering::SeqCst)
    }

    /// Ends all running watches neatly, as the server does to slow clients or at shutdown.
    pub fn end_watches(&self) {
        self.shared.watch_epoch.fetch_add(1, Ordering::SeqCst);
        self.shared.store.wake();
    }

    /// Closes the listener and cuts all connections: from now on connects are refused.
    pub fn stop(&self) {
        if let Some(run) = self.run.lock().unwrap().take() {
            run.stop(self.addr, &self.shared);
        }
    }

    /// Stops, and starts on the same port with a watch cache that knows no history.
    pub fn restart(&self) {
        self.stop();
        self.shared.store.compact();
        let mut listener = None;
        // Another test's connection may have the port for a moment.
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
