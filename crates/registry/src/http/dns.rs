//! Questions to name servers: UDP, then TCP where an answer is cut off (RFC 1035, RFC 7766).
//!
//! The C library's resolver can't be used: in a static binary it loads the host's modules (ARCHITECTURE.md).

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE};
use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// What a name server said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The addresses; none where the name exists without one.
    Addresses(Vec<IpAddr>),
    /// The name doesn't exist.
    NoSuchName,
}

/// The kinds of address asked for. IPv4 comes first: one address is tried after the other, and many networks have an
/// IPv6 that leads nowhere.
const KINDS: [TYPE; 2] = [TYPE::A, TYPE::AAAA];

/// Asks one server for all addresses of a name.
///
/// # Errors
/// Where it can't be reached in time, refuses, or answers something else.
pub(crate) fn ask(server: SocketAddr, name: &str, timeout: Duration) -> io::Result<Answer> {
    let local = if server.is_ipv4() {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
    } else {
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
    };
    let socket = UdpSocket::bind(local)?;
    // Connected: the kernel drops what comes from elsewhere.
    socket.connect(server)?;
    let deadline = Instant::now() + timeout;
    let mut queries = Vec::new();
    for kind in KINDS {
        let query = Query::new(name, kind)?;
        socket.send(&query.bytes)?;
        queries.push(query);
    }
    let mut found: Vec<Option<io::Result<Answer>>> = queries.iter().map(|_| None).collect();
    let mut buffer = [0; 4096];
    while found.iter().any(Option::is_none) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left))?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => break,
            Err(error) => return Err(error),
        };
        let message = &buffer[..length];
        // Anything that isn't an answer to one of ours is somebody else's, or forged.
        let Some(at) = queries.iter().position(|query| query.is_answered_by(message)) else {
            continue;
        };
        if found[at].is_none() {
            let answer = queries[at].read(message).transpose();
            found[at] = Some(answer.unwrap_or_else(|| over_tcp(server, &queries[at], deadline)));
        }
    }
    merge(
        found
            .into_iter()
            .map(|answer| answer.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))),
    )
}

/// One kind of address is enough: some servers never answer for IPv6.
fn merge(answers: impl Iterator<Item = io::Result<Answer>>) -> io::Result<Answer> {
    let (mut addresses, mut no_such_name, mut failed) = (Vec::new(), false, None);
    for answer in answers {
        match answer {
            Ok(Answer::Addresses(more)) => addresses.extend(more),
            Ok(Answer::NoSuchName) => no_such_name = true,
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        _ if !addresses.is_empty() => Ok(Answer::Addresses(addresses)),
        _ if no_such_name => Ok(Answer::NoSuchName),
        Some(error) => Err(error),
        None => Ok(Answer::Addresses(addresses)),
    }
}

/// The same question over TCP: each message has its length in front.
fn over_tcp(server: SocketAddr, query: &Query, deadline: Instant) -> io::Result<Answer> {
    let left = deadline.saturating_duration_since(Instant::now());
    let left = left.max(Duration::from_millis(500));
    let mut stream = TcpStream::connect_timeout(&server, left)?;
    stream.set_read_timeout(Some(left))?;
    stream.set_write_timeout(Some(left))?;
    let length = u16::try_from(query.bytes.len()).map_err(io::Error::other)?;
    let message = [&length.to_be_bytes(), query.bytes.as_slice()].concat();
    stream.write_all(&message)?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    if !query.is_answered_by(&message) {
        return Err(wrong("the name server answers another question"));
    }
    query
        .read(&message)?
        .ok_or_else(|| wrong("the name server cuts its answer off, even over TCP"))
}

struct Query {
    id: u16,
    name: String,
    kind: TYPE,
    bytes: Vec<u8>,
}

impl Query {
    fn new(name: &str, kind: TYPE) -> io::Result<Self> {
        let mut id = [0; 2];
        rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
        let id = u16::from_ne_bytes(id);
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let asked = Name::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        packet
            .questions
            .push(Question::new(asked, kind.into(), CLASS::IN.into(), false));
        Ok(Self {
            id,
            name: name.to_owned(),
            kind,
            bytes: packet.build_bytes_vec().map_err(io::Error::other)?,
        })
    }

    fn is_answered_by(&self, message: &[u8]) -> bool {
        let Ok(packet) = Packet::parse(message) else {
            return false;
        };
        let same_question = |question: &Question| {
            question.qname.to_string().eq_ignore_ascii_case(&self.name) && question.qtype == self.kind.into()
        };
        packet.id() == self.id
            && packet.has_flags(PacketFlag::RESPONSE)
            && packet.questions.first().is_none_or(same_question)
    }

    /// What it says; `None` where it is cut off.
    fn read(&self, message: &[u8]) -> io::Result<Option<Answer>> {
        let packet = Packet::parse(message).map_err(|_| wrong("the name server's answer can't be read"))?;
        if packet.has_flags(PacketFlag::TRUNCATION) {
            return Ok(None);
        }
        match packet.rcode() {
            RCODE::NoError => Ok(Some(Answer::Addresses(addresses(&packet, &self.name)))),
            RCODE::NameError => Ok(Some(Answer::NoSuchName)),
            other => Err(wrong(format!("the name server answers {other:?}"))),
        }
    }
}

/// The addresses of a name, aliases followed inside the answer.
fn addresses(packet: &Packet, name: &str) -> Vec<IpAddr> {
    let mut names = HashSet::from([name.to_ascii_lowercase()]);
    loop {
        let before = names.len();
        for record in &packet.answers {
            if let RData::CNAME(target) = &record.rdata
                && names.contains(&record.name.to_string().to_ascii_lowercase())
            {
                names.insert(target.0.to_string().to_ascii_lowercase());
            }
        }
        if names.len() == before {
            break;
        }
    }
    let of_it = packet
        .answers
        .iter()
        .filter(|record| names.contains(&record.name.to_string().to_ascii_lowercase()));
    of_it
        .filter_map(|record| match &record.rdata {
            RData::A(a) => Some(Ipv4Addr::from(a.address).into()),
            RData::AAAA(aaaa) => Some(Ipv6Addr::from(aaaa.address).into()),
            _ => None,
        })
        .collect()
}

fn wrong(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, AAAA, CNAME};
    use std::net::TcpListener;

    /// Answers with an alias and one address of the kind asked for; over UDP cut off.
    fn reply(message: &[u8], cut: bool) -> Vec<u8> {
        let query = Packet::parse(message).unwrap();
        let mut packet = Packet::new_reply(query.id());
        let question = query.questions[0].clone();
        let kind = question.qtype;
        packet.questions.push(question);
        if cut {
            packet.set_flags(PacketFlag::TRUNCATION);
            return packet.build_bytes_vec().unwrap();
        }
        let target = Name::new("real.example").unwrap();
        let record = |name: &'static str, data| ResourceRecord::new(Name::new(name).unwrap(), CLASS::IN, 60, data);
        packet
            .answers
            .push(record("alias.example", RData::CNAME(CNAME(target))));
        let (right, other) = if kind == TYPE::A.into() {
            (
                RData::A(A { address: 0x0a00_0001 }),
                RData::A(A { address: 0x0909_0909 }),
            )
        } else {
            (RData::AAAA(AAAA { address: 1 }), RData::AAAA(AAAA { address: 2 }))
        };
        packet.answers.push(record("real.example", right));
        packet.answers.push(record("someone-else.example", other));
        packet.build_bytes_vec().unwrap()
    }

    fn serve(cut: bool) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = UdpSocket::bind(address).unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).unwrap();
                // A forged answer with another id comes first, and is passed over.
                let mut forged = reply(&buffer[..length], false);
                forged[0] ^= 0x55;
                socket.send_to(&forged, from).unwrap();
                socket.send_to(&reply(&buffer[..length], cut), from).unwrap();
            }
        });
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut message).unwrap();
                let answer = reply(&message, false);
                stream
                    .write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes())
                    .unwrap();
                stream.write_all(&answer).unwrap();
            }
        });
        address
    }

    #[test]
    fn both_kinds_are_found_through_an_alias() {
        let expected = Answer::Addresses(vec!["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()]);
        for cut in [false, true] {
            let answer = ask(serve(cut), "alias.example", Duration::from_secs(5)).unwrap();
            assert_eq!(answer, expected, "cut off: {cut}");
        }
    }

    #[test]
    fn a_silent_server_is_given_up() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let error = ask(address, "a.example", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(
            error.kind(),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
        ));
    }
}
