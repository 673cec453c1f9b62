//! Writes Protocol Buffers' wire format (protobuf.dev/programming-guides/encoding), as far as OTLP needs it.

/// A message that is being written.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

/// The wire types.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;

/// Where a nested message begins.
#[derive(Debug)]
#[must_use]
pub(super) struct Begin(usize);

impl Message {
    /// Writes an integer that is not negative, or an enum.
    pub(super) fn uint(&mut self, field: u64, n: u64) {
        self.key(field, VARINT);
        self.varint(n);
    }

    /// Writes a signed integer (`int64`): a negative one takes ten bytes.
    pub(super) fn int(&mut self, field: u64, n: i64) {
        self.uint(field, n.cast_unsigned());
    }

    /// Writes eight bytes (`fixed64`).
    pub(super) fn fixed(&mut self, field: u64, n: u64) {
        self.key(field, FIXED_64);
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    /// Writes a string.
    pub(super) fn text(&mut self, field: u64, text: &str) {
        self.key(field, LENGTH_DELIMITED);
        self.varint(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Begins a nested message; all that is written up to [`Message::end`] belongs to it.
    pub(super) fn begin(&mut self, field: u64) -> Begin {
        self.key(field, LENGTH_DELIMITED);
        Begin(self.0.len())
    }

    /// Ends a nested message: its length is put before it.
    pub(super) fn end(&mut self, Begin(at): Begin) {
        let end = self.0.len();
        self.varint((end - at) as u64);
        let length_bytes = self.0.len() - end;
        self.0[at..].rotate_right(length_bytes);
    }

    /// Returns the bytes.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    fn varint(&mut self, mut n: u64) {
        while n > 0x7F {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Takes the next field of a message: its number and its value. `None` at the end, or if the rest is no message. Fields of
/// four and eight bytes are passed over.
pub(super) fn next<'a>(message: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    loop {
        let key = take_varint(message)?;
        let fixed_bytes = match key & 7 {
            VARINT => return Some((key >> 3, Field::Number(take_varint(message)?))),
            LENGTH_DELIMITED => {
                let len = usize::try_from(take_varint(message)?).ok()?;
                let (bytes, rest) = message.split_at_checked(len)?;
                *message = rest;
                return Some((key >> 3, Field::Bytes(bytes)));
            }
            FIXED_64 => 8,
            5 => 4,
            _ => return None,
        };
        *message = message.get(fixed_bytes..)?;
    }
}

fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut n = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        n |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the format's own documentation.
    #[test]
    fn fields_are_written_as_the_format_says() {
        let mut message = Message::default();
        message.uint(1, 150);
        message.text(2, "testing");
        let nested = message.begin(3);
        message.uint(1, 150);
        message.end(nested);
        message.int(4, -2);
        message.fixed(5, 1);
        let bytes = message.into_bytes();
        let mut want = vec![0x08, 0x96, 0x01, 0x12, 0x07];
        want.extend_from_slice(b"testing");
        want.extend_from_slice(&[0x1A, 0x03, 0x08, 0x96, 0x01]);
        want.extend_from_slice(&[0x20, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]);
        want.extend_from_slice(&[0x29, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes, want);
    }

    #[test]
    fn a_nested_message_of_any_length_has_its_length_before_it() {
        for len in [0, 1, 125, 126, 127, 128, 16_380, 16_384, 2_097_152] {
            let mut message = Message::default();
            message.uint(1, 7);
            let outer = message.begin(2);
            let inner = message.begin(3);
            message.text(4, &"x".repeat(len));
            message.end(inner);
            message.end(outer);
            let bytes = message.into_bytes();
            let mut rest = &*bytes;
            assert_eq!(next(&mut rest), Some((1, Field::Number(7))));
            for number in [2, 3, 4] {
                let Some((is, Field::Bytes(inside))) = next(&mut rest) else { panic!("{len}") };
                assert_eq!(is, number, "{len}");
                rest = inside;
            }
            assert_eq!(rest, "x".repeat(len).as_bytes(), "{len}");
        }
    }

    #[test]
    fn no_bytes_of_a_server_do_harm() {
        let whole =
            [0x0A, 0x05, 0x08, 0x02, 0x12, 0x01, b'x', 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x10, 1];
        for end in 0..whole.len() {
            for flip in 0..=255 {
                let mut bytes = whole[..end].to_vec();
                bytes.push(flip);
                let mut rest = &*bytes;
                let fields = std::iter::from_fn(|| next(&mut rest)).count();
                assert!(fields <= bytes.len());
            }
        }
        let mut endless = &[0xFF_u8; 20][..];
        assert_eq!(next(&mut endless), None);
    }
}
