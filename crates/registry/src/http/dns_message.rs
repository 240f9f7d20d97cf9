//! Messages of name servers as far as addresses go: a question, and the aliases and addresses of an answer (RFC 1035, 4.1;
//! RFC 3596). What is in a message besides is passed over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kinds of records that are understood.
pub(super) const A: u16 = 1;
const CNAME: u16 = 5;
pub(super) const AAAA: u16 = 28;

/// The class of the Internet.
const INTERNET: u16 = 1;

/// The longest name, and the longest part of one (RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 255;
const LONGEST_LABEL: usize = 63;

/// What a message says. Names are in lower case, without a dot at the end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: u16,
    pub(super) is_response: bool,
    /// There is more than fits; then there are no records here.
    pub(super) is_cut_off: bool,
    /// 0 for success.
    pub(super) code: u8,
    /// The first question: name and kind.
    pub(super) question: Option<(String, u16)>,
    pub(super) records: Vec<Record>,
}

/// One record of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) value: Value,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    Address(IpAddr),
    Alias(String),
}

/// The question for a kind of address of a name, to be answered recursively. `None` for what can't be a name.
pub(super) fn question(id: u16, name: &str, kind: u16) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(name.len() + 18);
    // Recursion is desired; one question, nothing else.
    for word in [id, 0x0100, 1, 0, 0, 0] {
        message.extend(word.to_be_bytes());
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok()?;
        if label.is_empty() || label.len() > LONGEST_LABEL || name.len() + 2 > LONGEST_NAME {
            return None;
        }
        message.push(length);
        message.extend(label.as_bytes());
    }
    message.push(0);
    for word in [kind, INTERNET] {
        message.extend(word.to_be_bytes());
    }
    Some(message)
}

impl Message {
    /// Reads a message; `None` where it is none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let (id, flags) = (reader.word()?, reader.word()?);
        let (questions, answers) = (reader.word()?, reader.word()?);
        reader.at = 12;
        let mut message = Self {
            id,
            is_response: flags & 0x8000 != 0,
            is_cut_off: flags & 0x0200 != 0,
            code: u8::try_from(flags & 0xf).ok()?,
            question: None,
            records: Vec::new(),
        };
        for _ in 0..questions {
            let asked = (reader.name()?, reader.word()?);
            reader.word()?;
            message.question.get_or_insert(asked);
        }
        if !message.is_cut_off {
            for _ in 0..answers {
                message.records.extend(reader.record()?);
            }
        }
        Some(message)
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn word(&mut self) -> Option<u16> {
        let bytes = self.take(2)?.try_into().ok()?;
        Some(u16::from_be_bytes(bytes))
    }

    /// A name, whose end may stand earlier in the message (RFC 1035, 4.1.4): always further back, so that it ends.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        // Where to go on behind the name, once a pointer was followed.
        let (mut behind, mut start) = (None, self.at);
        loop {
            let length = usize::from(*self.take(1)?.first()?);
            if length == 0 {
                break;
            }
            if length >= 0xc0 {
                let low = usize::from(*self.take(1)?.first()?);
                let target = (length & 0x3f) << 8 | low;
                if target >= start {
                    return None;
                }
                behind = behind.or(Some(self.at));
                (self.at, start) = (target, target);
                continue;
            }
            if length > LONGEST_LABEL || name.len() + length > LONGEST_NAME {
                return None;
            }
            if !name.is_empty() {
                name.push('.');
            }
            for byte in self.take(length)? {
                // A dot inside a label is none between two.
                let is_plain = byte.is_ascii_graphic() && *byte != b'.';
                name.push(if is_plain {
                    char::from(byte.to_ascii_lowercase())
                } else {
                    '\\'
                });
            }
        }
        self.at = behind.unwrap_or(self.at);
        Some(name)
    }

    /// A record; the inner `None` is one of another kind.
    #[allow(
        clippy::option_option,
        reason = "a message that can't be read, and a record that nobody asked for"
    )]
    fn record(&mut self) -> Option<Option<Record>> {
        let name = self.name()?;
        let (kind, class) = (self.word()?, self.word()?);
        self.take(4)?;
        let length = usize::from(self.word()?);
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        let value = match (class, kind, length) {
            (INTERNET, A, 4) => <[u8; 4]>::try_from(self.take(4)?)
                .ok()
                .map(|address| Value::Address(Ipv4Addr::from(address).into())),
            (INTERNET, AAAA, 16) => <[u8; 16]>::try_from(self.take(16)?)
                .ok()
                .map(|address| Value::Address(Ipv6Addr::from(address).into())),
            (INTERNET, CNAME, _) => Some(Value::Alias(self.name()?)),
            _ => None,
        };
        self.at = end;
        Some(value.map(|value| Record { name, value }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use simple_dns::rdata::{A as Four, CNAME as Alias, RData, TXT};
    use simple_dns::{CLASS, Name, Packet, Question, ResourceRecord, TYPE};

    proptest! {
        #[test]
        fn anything_is_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 0..4u8) {
            if let Some(counts) = bytes.get_mut(4..12) {
                counts.fill(0);
                (counts[1], counts[3]) = (count, count);
            }
            if let Some(message) = Message::parse(&bytes) {
                prop_assert!(message.records.len() <= usize::from(count));
            }
        }
    }

    #[test]
    fn a_question_is_what_others_ask() {
        let mut packet = Packet::new_query(7);
        packet.set_flags(simple_dns::PacketFlag::RECURSION_DESIRED);
        let name = Name::new("Alias.example").unwrap();
        packet
            .questions
            .push(Question::new(name, TYPE::AAAA.into(), CLASS::IN.into(), false));
        let theirs = packet.build_bytes_vec().unwrap();
        assert_eq!(question(7, "Alias.example.", AAAA), Some(theirs.clone()));
        let read = Message::parse(&theirs).unwrap();
        assert_eq!((read.id, read.is_response, read.code), (7, false, 0));
        assert_eq!(read.question, Some(("alias.example".to_owned(), AAAA)));
        let long = "a".repeat(64);
        for wrong in ["", ".", "a..b", long.as_str(), &"abc.".repeat(64)] {
            assert_eq!(question(7, wrong, A), None, "{wrong}");
        }
    }

    /// An answer with an alias, an address and something else, names compressed where that is wanted.
    fn answer(is_compressed: bool) -> Vec<u8> {
        let mut packet = Packet::new_reply(7);
        let (alias, real) = (Name::new("alias.example").unwrap(), Name::new("real.example").unwrap());
        packet
            .questions
            .push(Question::new(alias.clone(), TYPE::A.into(), CLASS::IN.into(), false));
        let mut push = |name: &Name<'static>, data| {
            packet
                .answers
                .push(ResourceRecord::new(name.clone(), CLASS::IN, 60, data));
        };
        push(&alias, RData::CNAME(Alias(real.clone())));
        push(&alias, RData::TXT(TXT::new().with_string("text").unwrap()));
        push(&real, RData::A(Four { address: 0x0a00_0001 }));
        if is_compressed {
            packet.build_bytes_vec_compressed().unwrap()
        } else {
            packet.build_bytes_vec().unwrap()
        }
    }

    #[test]
    fn answers_are_read_with_and_without_pointers() {
        assert!(answer(true).len() < answer(false).len());
        for is_compressed in [false, true] {
            let bytes = answer(is_compressed);
            let read = Message::parse(&bytes).unwrap();
            let record = |name: &str, value| Record {
                name: name.to_owned(),
                value,
            };
            assert!(read.is_response && !read.is_cut_off);
            assert_eq!(
                read.records,
                [
                    record("alias.example", Value::Alias("real.example".to_owned())),
                    record("real.example", Value::Address("10.0.0.1".parse().unwrap()))
                ]
            );
            for end in 0..bytes.len() {
                assert_eq!(Message::parse(&bytes[..end]), None, "cut off at {end}");
            }
        }
    }

    #[test]
    fn pointers_that_lead_nowhere_are_refused() {
        let head = [0, 7, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        // To itself, forwards, to one that points back, and into nothing.
        for name in [
            &[0xc0, 12][..],
            &[0xc0, 14, 0, 0],
            &[1, b'a', 0xc0, 12],
            &[0xff, 0xff],
            &[0x40, b'a', 0],
        ] {
            let message = [&head, name, &[0, 1, 0, 1]].concat();
            assert_eq!(Message::parse(&message), None, "{name:?}");
        }
    }
}
