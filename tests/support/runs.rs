//! The form in which the fixtures of the journal are stored: without the zeros of a file. The unit tests of the reader and
//! the tests of the real binary share this file.

/// Returns a stored file with its zeros: its size, and then runs of bytes, each after its offset and its length.
pub fn expanded(stored: &[u8]) -> Vec<u8> {
    let (size, mut rest) = stored.split_first_chunk().unwrap();
    let mut bytes = vec![0; u64::from_le_bytes(*size) as usize];
    while let Some((offset, after)) = rest.split_first_chunk() {
        let (len, after) = after.split_first_chunk().unwrap();
        let (run, after) = after.split_at(u32::from_le_bytes(*len) as usize);
        bytes[u64::from_le_bytes(*offset) as usize..][..run.len()].copy_from_slice(run);
        rest = after;
    }
    bytes
}
