//! Writes bolt files for tests: inline buckets, branch pages and overflow where bbolt would have them.

use super::page::checksum;
use std::path::Path;

const PAGE: usize = 4096;

fn short(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap().to_ne_bytes()
}

/// What a key has.
#[derive(Clone)]
pub(crate) enum Node {
    Value(Vec<u8>),
    Bucket(Vec<(Vec<u8>, Node)>),
}

/// A value.
pub(crate) fn value(bytes: impl AsRef<[u8]>) -> Node {
    Node::Value(bytes.as_ref().to_vec())
}

/// A bucket of these keys.
pub(crate) fn bucket<K: AsRef<[u8]>>(entries: impl IntoIterator<Item = (K, Node)>) -> Node {
    let mut entries: Vec<_> = entries
        .into_iter()
        .map(|(key, node)| (key.as_ref().to_vec(), node))
        .collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Node::Bucket(entries)
}

/// The bytes of a file whose last transaction has this number.
pub(crate) fn file(root: &Node, transaction: u64) -> Vec<u8> {
    let mut writer = Writer {
        pages: vec![0; 2 * PAGE],
    };
    let Node::Bucket(entries) = root else {
        panic!("the root is a bucket");
    };
    let root = writer.tree(entries);
    let count = (writer.pages.len() / PAGE) as u64;
    for number in [transaction, transaction - 1] {
        let meta = meta(number % 2, root, count, number);
        let start = if number % 2 == 0 { 0 } else { PAGE };
        writer.pages[start..][..meta.len()].copy_from_slice(&meta);
    }
    writer.pages
}

/// Writes such a file.
pub(crate) fn write(path: &Path, root: &Node) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, file(root, 4)).unwrap();
}

fn meta(page: u64, root: u64, count: u64, transaction: u64) -> Vec<u8> {
    let mut record = Vec::new();
    for number in [0xED0C_DAED, 2, PAGE, 0] {
        record.extend(short(number));
    }
    for number in [root, 0, u64::MAX, count, transaction] {
        record.extend(number.to_ne_bytes());
    }
    record.extend(checksum(&record).to_ne_bytes());
    [header(page, 4, 0, 0), record].concat()
}

fn header(page: u64, flags: u16, count: usize, overflow: usize) -> Vec<u8> {
    let mut bytes = page.to_ne_bytes().to_vec();
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(u16::try_from(count).unwrap().to_ne_bytes());
    bytes.extend(short(overflow));
    bytes
}

struct Writer {
    pages: Vec<u8>,
}

type Element = (u32, Vec<u8>, Vec<u8>);

impl Writer {
    /// Writes a bucket's tree; its root page.
    fn tree(&mut self, entries: &[(Vec<u8>, Node)]) -> u64 {
        let elements: Vec<Element> = entries.iter().map(|(key, node)| self.element(key, node)).collect();
        let mut level: Vec<(Vec<u8>, u64)> = Vec::new();
        let mut rest = &elements[..];
        loop {
            let mut length = 16;
            let fit = rest.iter().take_while(|(_, key, value)| {
                length += 16 + key.len() + value.len();
                length <= PAGE
            });
            let (page, after) = rest.split_at(fit.count().max(1).min(rest.len()));
            let first = page.first().map(|element| element.1.clone()).unwrap_or_default();
            level.push((first, self.page(|number, overflow| leaf(number, overflow, page))));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        while level.len() > 1 {
            let pages = level.chunks(40);
            level = pages
                .map(|page| {
                    (
                        page[0].0.clone(),
                        self.page(|number, overflow| branch(number, overflow, page)),
                    )
                })
                .collect();
        }
        level[0].1
    }

    fn element(&mut self, key: &[u8], node: &Node) -> Element {
        match node {
            Node::Value(value) => (0, key.to_vec(), value.clone()),
            Node::Bucket(entries) => {
                let plain: Option<Vec<Element>> = entries
                    .iter()
                    .map(|(key, node)| match node {
                        Node::Value(value) => Some((0, key.clone(), value.clone())),
                        Node::Bucket(_) => None,
                    })
                    .collect();
                let inline = plain
                    .map(|elements| leaf(0, 0, &elements))
                    .filter(|page| page.len() <= PAGE / 4);
                let root = if inline.is_some() { 0 } else { self.tree(entries) };
                let bucket = [root.to_ne_bytes().to_vec(), vec![0; 8], inline.unwrap_or_default()].concat();
                (1, key.to_vec(), bucket)
            }
        }
    }

    /// Puts a page at the end, with the overflow it needs.
    fn page(&mut self, make: impl Fn(u64, usize) -> Vec<u8>) -> u64 {
        let number = (self.pages.len() / PAGE) as u64;
        let overflow = (make(number, 0).len() - 1) / PAGE;
        let mut bytes = make(number, overflow);
        bytes.resize((overflow + 1) * PAGE, 0);
        self.pages.extend(bytes);
        number
    }
}

fn leaf(number: u64, overflow: usize, elements: &[Element]) -> Vec<u8> {
    let mut bytes = header(number, 2, elements.len(), overflow);
    let mut data = Vec::new();
    for (at, (flags, key, value)) in elements.iter().enumerate() {
        let offset = (elements.len() - at) * 16 + data.len();
        bytes.extend(flags.to_ne_bytes());
        for number in [offset, key.len(), value.len()] {
            bytes.extend(short(number));
        }
        data.extend_from_slice(key);
        data.extend_from_slice(value);
    }
    [bytes, data].concat()
}

fn branch(number: u64, overflow: usize, pages: &[(Vec<u8>, u64)]) -> Vec<u8> {
    let mut bytes = header(number, 1, pages.len(), overflow);
    let mut data = Vec::new();
    for (at, (key, page)) in pages.iter().enumerate() {
        let offset = (pages.len() - at) * 16 + data.len();
        bytes.extend(short(offset));
        bytes.extend(short(key.len()));
        bytes.extend(page.to_ne_bytes());
        data.extend_from_slice(key);
    }
    [bytes, data].concat()
}
