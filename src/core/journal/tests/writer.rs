//! Writes journal files as journald does, as far as they are read here: no table of data, tiny tables.

use std::collections::HashMap;

use super::super::hash::jenkins;
use super::Id;

/// The fields of a line of the kernel.
pub(crate) fn kernel(priority: u8, message: &str) -> Vec<String> {
    vec![
        "_TRANSPORT=kernel".to_owned(),
        format!("PRIORITY={priority}"),
        "SYSLOG_IDENTIFIER=kernel".to_owned(),
        format!("MESSAGE={message}"),
    ]
}

/// The fields of a line of a service.
pub(crate) fn service(message: &str) -> Vec<String> {
    vec!["_TRANSPORT=stdout".to_owned(), "PRIORITY=6".to_owned(), format!("MESSAGE={message}")]
}

const HEADER: u64 = 208;
const BUCKETS: u64 = 3;
const TABLE: u64 = HEADER + 16;

/// A file that is being written.
pub(crate) struct Writer {
    bytes: Vec<u8>,
    is_compact: bool,
    fields: HashMap<String, u64>,
    data: HashMap<String, u64>,
    /// The last array of a DATA object, and its used and all places.
    arrays: HashMap<u64, (u64, u64, u64)>,
    /// Offsets of the entries.
    pub(crate) entries: Vec<u64>,
    /// Marks the messages that follow as compressed.
    pub(crate) compress: bool,
    /// The number of the last entry in the file before.
    before: u64,
    /// How much later than [`Writer::time`] the entries are, in microseconds.
    pub(crate) later_us: u64,
}

impl Writer {
    pub(crate) const BOOT: Id = Id([0xb0; 16]);
    pub(crate) const SEQUENCE: Id = Id([0x5e; 16]);

    pub(crate) fn new(is_compact: bool) -> Self {
        let mut bytes = vec![0; (TABLE + BUCKETS * 16) as usize];
        bytes[..8].copy_from_slice(b"LPKSHHRH");
        bytes[12] = if is_compact { 4 | 8 | 16 } else { 8 };
        bytes[16] = 1;
        bytes[24..40].fill(0xf1);
        bytes[40..56].fill(0x3a);
        bytes[56..72].copy_from_slice(&Self::BOOT.0);
        bytes[72..88].copy_from_slice(&Self::SEQUENCE.0);
        let mut file = Self {
            bytes,
            is_compact,
            fields: HashMap::new(),
            data: HashMap::new(),
            arrays: HashMap::new(),
            entries: Vec::new(),
            compress: false,
            before: 0,
            later_us: 0,
        };
        file.put(88, HEADER);
        file.put(120, TABLE);
        file.put(128, BUCKETS * 16);
        file.put(HEADER, 5);
        file.put(HEADER + 8, 16 + BUCKETS * 16);
        file
    }

    /// Begins the file that follows one whose last entry has that number.
    pub(crate) fn following(before: u64) -> Self {
        let mut file = Self::new(true);
        file.bytes[24..40].fill(before as u8);
        file.before = before;
        file
    }

    /// The time of the entry with that number.
    pub(crate) fn time(seqnum: u64) -> u64 {
        1_764_000_000_000_000 + seqnum
    }

    /// The file as it is now.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    pub(crate) fn put(&mut self, at: u64, number: u64) {
        let at = at as usize;
        self.bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn get(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.bytes[at as usize..at as usize + 8].try_into().unwrap())
    }

    fn object(&mut self, kind: u8, flags: u8, size: u64) -> u64 {
        let at = self.bytes.len().next_multiple_of(8) as u64;
        self.bytes.resize((at + size) as usize, 0);
        self.bytes[at as usize] = kind;
        self.bytes[at as usize + 1] = flags;
        self.put(at + 8, size);
        self.put(96, at + size - HEADER);
        at
    }

    /// The offset of the FIELD object with that name.
    pub(crate) fn field(&mut self, name: &str) -> u64 {
        if let Some(at) = self.fields.get(name) {
            return *at;
        }
        let at = self.object(2, 0, 40 + name.len() as u64);
        self.bytes[at as usize + 40..].copy_from_slice(name.as_bytes());
        let bucket = TABLE + jenkins(name.as_bytes()) % BUCKETS * 16;
        let (head, tail) = (self.get(bucket), self.get(bucket + 8));
        if head == 0 {
            self.put(bucket, at);
        } else {
            self.put(tail + 24, at);
        }
        self.put(bucket + 8, at);
        self.fields.insert(name.to_owned(), at);
        at
    }

    /// The offset of the DATA object with that field.
    pub(crate) fn data(&mut self, field: &str) -> u64 {
        if let Some(at) = self.data.get(field) {
            return *at;
        }
        let name = self.field(field.split('=').next().unwrap());
        let start = if self.is_compact { 72 } else { 64 };
        let is_compressed = self.compress && field.starts_with("MESSAGE=");
        let flags = if is_compressed { 4 } else { 0 };
        let at = self.object(1, flags, start + field.len() as u64);
        self.bytes[(at + start) as usize..].copy_from_slice(field.as_bytes());
        let next = self.get(name + 32);
        self.put(at + 32, next);
        self.put(name + 32, at);
        self.data.insert(field.to_owned(), at);
        at
    }

    /// Adds an entry.
    pub(crate) fn add(&mut self, fields: &[String]) {
        let items: Vec<u64> = fields.iter().map(|field| self.data(field)).collect();
        let hash = fields.iter().fold(0, |hash, field| hash ^ jenkins(field.as_bytes()));
        let width = if self.is_compact { 4 } else { 16 };
        let entry = self.object(3, 0, 64 + items.len() as u64 * width);
        let count = self.entries.len() as u64 + 1;
        let seqnum = self.before + count;
        let time = Self::time(seqnum) + self.later_us;
        for (place, number) in [(16, seqnum), (24, time), (32, seqnum), (56, hash)] {
            self.put(entry + place, number);
        }
        self.bytes[entry as usize + 40..][..16].copy_from_slice(&Self::BOOT.0);
        for (n, item) in items.iter().enumerate() {
            let at = (entry + 64) as usize + n * width as usize;
            self.bytes[at..at + 4].copy_from_slice(&(*item as u32).to_le_bytes());
        }
        self.entries.push(entry);
        if count == 1 {
            self.put(168, seqnum);
            self.put(184, time);
        }
        for (place, number) in [(152, count), (160, seqnum), (192, time), (200, seqnum)] {
            self.put(place, number);
        }
        for item in items {
            self.link(item, entry);
        }
    }

    /// Adds an entry to the list of a field.
    fn link(&mut self, data: u64, entry: u64) {
        let count = self.get(data + 56);
        if count == 0 {
            self.put(data + 40, entry);
        } else {
            let width = if self.is_compact { 4 } else { 8 };
            let (mut array, mut used, mut places) =
                self.arrays.get(&data).copied().unwrap_or_default();
            if used == places {
                places = (places * 2).max(4);
                let next = self.object(6, 0, 24 + places * width);
                self.put(if array == 0 { data + 48 } else { array + 16 }, next);
                (array, used) = (next, 0);
            }
            let at = (array + 24 + used * width) as usize;
            self.bytes[at..at + 4].copy_from_slice(&(entry as u32).to_le_bytes());
            self.arrays.insert(data, (array, used + 1, places));
        }
        self.put(data + 56, count + 1);
    }
}
