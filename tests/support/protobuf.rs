//! The part of protobuf that `kubectl auth can-i` needs: it accepts JSON but sends only protobuf.

use serde_json::{Value, json};

/// The prefix of every Kubernetes protobuf message.
const MAGIC: &[u8] = b"k8s\0";

/// Returns the `spec` of an encoded SelfSubjectAccessReview, in its JSON form.
pub fn review_spec(body: &[u8]) -> Option<Value> {
    // An envelope {1: type, 2: object}; the object {1: metadata, 2: spec}; the spec {1: attributes}.
    let envelope = body.strip_prefix(MAGIC)?;
    let attributes = field(field(field(envelope, 2)?, 2)?, 1)?;
    let names = ["namespace", "verb", "group", "version", "resource", "subresource", "name"];
    let mut asked = json!({});
    for (number, name) in (1..).zip(names) {
        let text = field(attributes, number).map(String::from_utf8_lossy).unwrap_or_default();
        if !text.is_empty() {
            asked[name] = json!(text);
        }
    }
    Some(json!({"resourceAttributes": asked}))
}

/// Returns the bytes of a length-delimited field.
fn field(mut message: &[u8], number: u64) -> Option<&[u8]> {
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let value = varint(&mut message)?;
        // Wire type 0 is the varint itself, 2 the length of the bytes that follow; others do not occur.
        match key & 7 {
            0 => {}
            2 => {
                let (bytes, rest) = message.split_at_checked(usize::try_from(value).ok()?)?;
                if key >> 3 == number {
                    return Some(bytes);
                }
                message = rest;
            }
            _ => return None,
        }
    }
    None
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
