//! The fingerprint of a crash: the same for the same crash in every pod, on every node, in every cluster and in every
//! version of the agent; another for another crash.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::core::cause::Signature;
use crate::core::wire::json::{Json, Read, Text, Wrong};

/// The version of the rules. A fingerprint is compared with those that older agents wrote, so a change of the rules needs
/// another number, and this one keeps its meaning for ever.
const VERSION: &str = "1";

/// A fingerprint: 16 hexadecimal digits.
///
/// It is the 64-bit FNV-1a hash of words, each followed by a zero byte, so that it can be computed anywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Read<'_> for Fingerprint {
    fn read(&mut self, json: &mut Json<'_>) -> Result<(), Wrong> {
        let mut digits = Text::default();
        digits.read(json)?;
        // A text that is none is that of no crash.
        self.0 = u64::from_str_radix(&digits, 16).unwrap_or_default();
        Ok(())
    }
}

/// What a fingerprint is made of. No node, pod, image, time or count is among it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Words<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The workload: `Deployment/api`.
    pub workload: &'a str,
    /// The container; empty for a pod as a whole.
    pub container: &'a str,
    /// The type of the incident.
    pub kind: &'a str,
    /// The exit code; `None` if nothing terminated.
    pub exit_code: Option<i32>,
    /// The kubelet's reason.
    pub reason: &'a str,
    /// What the cause is recognized by; `None` if it is not known.
    pub cause: Option<&'a Signature>,
}

/// Returns the fingerprint of a crash.
pub fn of(words: &Words<'_>) -> Fingerprint {
    let code = words.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string());
    let mut hash = Fnv::new();
    for word in
        [VERSION, words.namespace, words.workload, words.container, words.kind, &code, words.reason]
    {
        hash.word(word);
    }
    hash.signature(words.cause);
    Fingerprint(hash.0)
}

/// Returns the part that the log gives.
pub fn of_log(signature: &Signature) -> Fingerprint {
    let mut hash = Fnv::new();
    hash.word(VERSION);
    hash.signature(Some(signature));
    Fingerprint(hash.0)
}

struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn word(&mut self, word: &str) {
        for byte in word.bytes().chain([0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn signature(&mut self, signature: Option<&Signature>) {
        let Some(Signature { error_type, place, template }) = signature else { return };
        self.word(error_type);
        self.word(place);
        self.word(template);
    }
}

#[cfg(test)]
mod tests;
