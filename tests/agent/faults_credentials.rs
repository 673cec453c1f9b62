//! The fault bed's rows about trust: tokens, authorities, certificates.
//! `support::bed` explains what a row checks and prints.

use std::fs;

use crate::support::bed::{SECOND, millis};
use crate::support::clock::eventually;
use crate::support::tls::{Authority, Validity};
use crate::support::{Bed, PATIENCE};

#[test]
fn a_token_that_rotates_is_read_again() {
    let mut bed = Bed::start("token rotates; the new file comes 2 s after the first 401");
    bed.api.rotate_token("second");
    bed.api.end_watches();
    let refused = "k8s_api_errors_total{code=\"401\"}";
    assert!(eventually(PATIENCE, || bed.agent.metric(refused) >= 1.0));
    assert!(eventually(PATIENCE, || bed.agent.get("/readyz").0 == 503));
    bed.wait(2 * SECOND);
    bed.write_service_account();
    bed.heal();
    bed.recover();
    assert_eq!(bed.api.count("list", "pods"), 1, "a refusal says nothing against the version");
    bed.finish();
}

#[test]
fn a_token_file_that_is_empty_or_gone_leaves_the_last_good_one() {
    let mut bed = Bed::start("token file empty, then gone, 2 s each, with new watches meanwhile");
    for gone in [false, true] {
        bed.write("token", "");
        if gone {
            fs::remove_file(bed.scratch.join("token")).unwrap();
        }
        for _ in 0..10 {
            bed.wait(millis(200));
            bed.api.end_watches();
        }
        bed.heal();
        bed.recover();
    }
    assert_eq!(bed.agent.metric("k8s_api_errors_total{code=\"401\"}"), 0.0);
    bed.write_service_account();
    bed.finish();
}

#[test]
fn a_token_that_is_refused_while_its_file_is_gone_is_read_when_it_is_back() {
    let mut bed = Bed::start("token refused and its file gone, back after 2 s");
    fs::remove_file(bed.scratch.join("token")).unwrap();
    bed.api.rotate_token("second");
    bed.api.end_watches();
    bed.wait(2 * SECOND);
    bed.write_service_account();
    bed.heal();
    bed.recover();
    bed.finish();
}

#[test]
fn an_authority_that_rotates_is_read_again_and_a_broken_file_of_it_is_not() {
    let mut bed = Bed::start("CA rotates: server first, file broken for 1 s, then new");
    let next = Authority::new("next-ca");
    let names = ["127.0.0.1"];
    bed.api.use_identity(&next.issue(&names, Validity::Valid));
    bed.api.end_watches();
    bed.proxy.reset_all();
    let untrusted = "k8s_api_errors_total{code=\"tls\"}";
    assert!(eventually(PATIENCE, || bed.agent.metric(untrusted) >= 1.0));
    let asked = bed.api.requests().len();
    bed.write("ca.crt", "-----BEGIN CERTIFICATE-----\nbm8gY2VydA==\n");
    bed.wait(SECOND);
    assert_eq!(bed.api.requests().len(), asked, "nothing is said to who is not trusted");
    bed.write("ca.crt", &next.pem());
    bed.heal();
    bed.recover();
    assert_eq!(bed.api.count("list", "pods"), 1);
    bed.finish();
}

#[test]
fn a_certificate_that_does_not_verify_is_never_accepted() {
    let mut bed = Bed::start("certificate expired, not yet valid, for another name, another CA's");
    let own = bed.api.authority();
    let good = own.issue(&["127.0.0.1"], Validity::Valid);
    let foreign = Authority::new("someone");
    let bad = [
        own.issue(&["127.0.0.1"], Validity::Expired),
        own.issue(&["127.0.0.1"], Validity::Future),
        own.issue(&["api.example.com", "127.0.0.9"], Validity::Valid),
        foreign.issue(&["127.0.0.1"], Validity::Valid),
    ];
    for identity in &bad {
        let untrusted = "k8s_api_errors_total{code=\"tls\"}";
        let before = bed.agent.metric(untrusted);
        bed.api.use_identity(identity);
        bed.proxy.reset_all();
        assert!(eventually(PATIENCE, || bed.agent.metric(untrusted) >= before + 2.0));
        let asked = bed.api.requests().len();
        bed.wait(SECOND);
        assert_eq!(bed.api.requests().len(), asked);
        bed.api.use_identity(&good);
        bed.heal();
        bed.recover();
    }
    assert_eq!(bed.api.count("list", "pods"), 1);
    bed.finish();
}
