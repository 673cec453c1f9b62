//! How the boot before ended, in the line of the reboot: the agent runs in one boot, is killed with it, and looks in the
//! next one at what the node's files kept.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::clock::{eventually, unix_seconds};
use crate::support::journal::write_journal;
use crate::support::{Agent, AgentOptions, FakeApi, Options, PATIENCE, Scratch};

const BEFORE: &str = "11111111-1111-4111-8111-111111111111";
const NOW: &str = "22222222-2222-4222-8222-222222222222";

/// A node that is started again.
struct Machine {
    _api: FakeApi,
    scratch: Scratch,
}

impl Machine {
    fn new(name: &str) -> Self {
        let (api, scratch) = (FakeApi::start(Options::default()), Scratch::new(name));
        api.write_kubeconfig(&scratch.join("kubeconfig"));
        api.apply(json!({"kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": "web", "namespace": "shop", "uid": "uid-web"},
            "spec": {"nodeName": "node1", "containers": [{"name": "app"}]},
            "status": {"phase": "Running"}}));
        for folder in ["proc/sys/kernel/random", "log/journal/machine", "pstore/1764000000"] {
            fs::create_dir_all(scratch.join(folder)).unwrap();
        }
        Self { _api: api, scratch }
    }

    /// Puts a file of systemd's own writer there.
    fn journal(&self, name: &str, file: &str) {
        write_journal(file, &self.scratch.join(&format!("log/journal/machine/{name}")));
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.scratch.join(name), bytes).unwrap();
    }

    fn boot(&self, id: &str, seconds_ago: i64) -> Agent {
        self.write("proc/sys/kernel/random/boot_id", id);
        self.write("proc/stat", format!("cpu 1 2 3 4\nbtime {}\n", unix_seconds() - seconds_ago));
        let path = |name: &str| self.scratch.join(name);
        AgentOptions::kubeconfig(&path("kubeconfig"))
            .env("BLACKBOX_PROC", path("proc"))
            .env("BLACKBOX_STATE_FILE", path("state"))
            .env("BLACKBOX_KERNEL_LOG", path("log"))
            .env("BLACKBOX_PSTORE", path("pstore"))
            .start()
    }

    /// Runs the agent in both boots, and returns the line of the reboot.
    fn reboot(&self) -> Value {
        let mut before = self.boot(BEFORE, 9000);
        before.wait_ready();
        let state = self.scratch.join("state");
        let is_written =
            |path: &Path| fs::read_to_string(path).is_ok_and(|text| text.contains(BEFORE));
        assert!(eventually(PATIENCE, || is_written(&state)), "no state");
        before.kill();
        let mut now = self.boot(NOW, 5);
        now.wait_ready();
        assert!(eventually(PATIENCE, || now.metric("k8s_pods_watched_total") == 1.0));
        // What waits is told at the end.
        assert!(now.end("TERM").0.success());
        let mut lines = now.incidents();
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = lines.remove(0);
        assert_eq!(
            (&line["type"], &line["metadata"]["reboot"]["previous_boot_id"]),
            (&json!("node_reboot"), &json!(BEFORE))
        );
        line
    }
}

#[test]
fn a_journal_that_was_left_open_tells_when_the_node_was_last_alive() {
    let machine = Machine::new("reboot-cut");
    machine.journal("system.journal", "online");
    let line = machine.reboot();
    let reboot = &line["metadata"]["reboot"];
    assert_eq!(reboot["is_orderly"], false, "{line}");
    assert_eq!(line["severity"], "high");
    let alive = reboot["last_alive_at"].as_str().unwrap();
    assert!(alive.starts_with("2025-11-24T16:00:00Z"), "{alive}");
    let message = line["message"].as_str().unwrap();
    let words = "was started again, and no shutdown was seen; the node was last alive at 2025-11-24T16:00:00Z";
    assert!(message.ends_with(words), "{message}");
}

#[test]
fn a_journal_that_was_closed_proves_no_shutdown() {
    let machine = Machine::new("reboot-closed");
    machine.journal("system.journal", "compact-keyed");
    let line = machine.reboot();
    assert!(line["metadata"]["reboot"]["is_orderly"].is_null(), "{line}");
    assert_eq!(line["severity"], "high");
    let message = line["message"].as_str().unwrap();
    assert!(message.ends_with("was started again, and no shutdown was seen"), "{line}");
}

#[test]
fn a_panic_that_was_kept_is_told_in_the_kernels_words() {
    let machine = Machine::new("reboot-panic");
    machine.journal("system@1.journal~", "online");
    let text = "Panic#1 Part1\n<6>[   99.1] usb 1-1: new device\n<0>[  100.25] Kernel panic - not syncing: Fatal hardware error!\n";
    machine.write("pstore/1764000000/dmesg.txt", text);
    machine.write("pstore/dmesg-efi-1.enc.z", [0xff; 99]);
    let line = machine.reboot();
    assert_eq!(line["metadata"]["reboot"]["panic"], "Fatal hardware error!");
    assert_eq!(line["metadata"]["reboot"]["is_orderly"], false);
    let message = line["message"].as_str().unwrap();
    assert!(message.contains("was started again after its kernel panicked: Fatal hardware error!; the node was last alive at"), "{message}");
    let evidence = line["metadata"]["evidence"].to_string();
    assert!(evidence.contains("pstore") && evidence.contains("was not closed"), "{evidence}");
}

#[test]
fn files_that_are_no_journal_and_no_record_leave_it_open_how_the_node_went_down() {
    let machine = Machine::new("reboot-hostile");
    machine.write(
        "log/journal/machine/system.journal",
        [b"LPKSHHRH".as_slice(), &[0xff; 999]].concat(),
    );
    machine.write(
        "pstore/dmesg.txt",
        "Oops#1 Part1\n<1>[ 1.0] BUG: unable to handle page fault for address: 0\n",
    );
    std::os::unix::fs::symlink("/proc/self/mem", machine.scratch.join("pstore/dmesg-efi-2"))
        .unwrap();
    let line = machine.reboot();
    let reboot = &line["metadata"]["reboot"];
    assert!(reboot["is_orderly"].is_null() && reboot["panic"].is_null(), "{line}");
    assert!(reboot["last_alive_at"].is_null(), "{line}");
}
