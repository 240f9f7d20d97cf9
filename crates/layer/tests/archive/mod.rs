//! Archives put together byte by byte, as no honest program would.

#![allow(dead_code, reason = "each test binary uses some of it")]

/// The header of an entry: valid, unless told otherwise.
#[derive(Clone)]
pub struct Header(Vec<u8>);

impl Header {
    pub fn new(path: &str, kind: u8) -> Self {
        let mut bytes = vec![0; 512];
        let path = &path.as_bytes()[..path.len().min(100)];
        bytes[..path.len()].copy_from_slice(path);
        bytes[156] = kind;
        bytes[257..265].copy_from_slice(b"ustar\x0000");
        Self(bytes)
            .raw(100, b"0000644\0")
            .raw(108, b"0000000\0")
            .raw(116, b"0000000\0")
            .raw(136, b"07346545000\0")
            .size(0)
    }

    /// Writes bytes into a field.
    pub fn raw(mut self, place: usize, bytes: &[u8]) -> Self {
        self.0[place..place + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub fn size(self, size: u64) -> Self {
        self.raw(124, format!("{size:011o}\0").as_bytes())
    }

    pub fn mode(self, mode: u32) -> Self {
        self.raw(100, format!("{mode:07o}\0").as_bytes())
    }

    pub fn owner(self, uid: u32, gid: u32) -> Self {
        self.raw(108, format!("{uid:07o}\0").as_bytes())
            .raw(116, format!("{gid:07o}\0").as_bytes())
    }

    /// Seconds since 1970.
    pub fn modified(self, seconds: u64) -> Self {
        self.raw(136, format!("{seconds:011o}\0").as_bytes())
    }

    pub fn link(self, target: &str) -> Self {
        self.raw(157, target.as_bytes())
    }

    /// In base 256, so that any number fits.
    pub fn device(self, major: u64, minor: u64) -> Self {
        let field = |value: u64| {
            let mut bytes = value.to_be_bytes();
            bytes[0] = 0x80;
            bytes
        };
        self.raw(329, &field(major)).raw(337, &field(minor))
    }

    /// The block with its checksum.
    pub fn block(mut self) -> Vec<u8> {
        self.0[148..156].fill(b' ');
        let sum: u32 = self.0.iter().map(|byte| u32::from(*byte)).sum();
        self.raw(148, format!("{sum:06o}\0 ").as_bytes()).0
    }
}

/// An archive that grows.
#[derive(Default)]
pub struct Archive(Vec<u8>);

impl Archive {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn entry(mut self, header: Header, data: &[u8]) -> Self {
        self.0.extend(header.block());
        self.0.extend(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, path: &str, data: &[u8]) -> Self {
        self.entry(Header::new(path, b'0').size(data.len() as u64), data)
    }

    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.entry(Header::new(path, b'5').mode(mode), b"")
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(Header::new(path, b'2').link(target), b"")
    }

    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(Header::new(path, b'1').link(target), b"")
    }

    /// Records for the next entry.
    pub fn pax(self, records: &[u8]) -> Self {
        self.entry(Header::new("pax", b'x').size(records.len() as u64), records)
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

/// PAX records.
pub fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        text.extend(format!("{length} {key}=").into_bytes());
        text.extend(*value);
        text.push(b'\n');
    }
    text
}
