//! Names to addresses: hosts(5) first, then the name servers of resolv.conf(5).

use super::dns::{self, Answer};
use super::url::host_of;
use crate::error::cause;
use crate::settings::NameFiles;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How long an answer is used again.
const KEPT: Duration = Duration::from_mins(1);

/// Looks names up for the connections; clones share what they know.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    files: NameFiles,
    known: Arc<Mutex<HashMap<String, Known>>>,
}

/// When a name was looked up, and what was found.
type Known = (Instant, Vec<IpAddr>);

/// What resolv.conf(5) says, as far as we follow it.
#[derive(Debug, PartialEq, Eq)]
struct ResolvConf {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    ndots: usize,
    timeout: Duration,
    attempts: u32,
}

impl Names {
    pub(crate) fn new(files: NameFiles) -> Self {
        Self {
            files,
            known: Arc::default(),
        }
    }

    /// The addresses of a host: at least one.
    fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let host = host.to_ascii_lowercase();
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&host)
            .cloned();
        if let Some((when, addresses)) = known
            && when.elapsed() < KEPT
        {
            return Ok(addresses);
        }
        let addresses = self.look_up(&host)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(host, (Instant::now(), addresses.clone()));
        Ok(addresses)
    }

    fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let read = |path: &Path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let listed = from_hosts(&read(&self.files.hosts).unwrap_or_default(), host);
        if !listed.is_empty() {
            return Ok(listed);
        }
        // RFC 6761, 6.3: never asked of a server.
        if host == "localhost" || host.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        // Without the file there is a server on this machine, says resolv.conf(5).
        let conf = ResolvConf::parse(&read(&self.files.resolv_conf).unwrap_or_default());
        conf.ask(host)
    }
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, _: &ureq::config::Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        const MOST: usize = 16;
        let authority = uri.authority().ok_or(ureq::Error::HostNotFound)?;
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default);
        let found = self
            .addresses(host_of(authority.host()))
            .map_err(|reason| ureq::Error::Other(reason.into()))?;
        let mut addresses = self.empty();
        for address in found.into_iter().take(MOST) {
            addresses.push(SocketAddr::new(address, port));
        }
        Ok(addresses)
    }
}

/// The addresses that hosts(5) has for a name, IPv4 first.
fn from_hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
            continue;
        };
        if words.any(|name| name.trim_end_matches('.').eq_ignore_ascii_case(host)) {
            found.push(address);
        }
    }
    found.sort_by_key(IpAddr::is_ipv6);
    found.dedup();
    found
}

impl ResolvConf {
    fn parse(text: &str) -> Self {
        let mut conf = Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        };
        for line in text.lines() {
            let mut words = line
                .split(['#', ';'])
                .next()
                .unwrap_or_default()
                .split_ascii_whitespace();
            match words.next() {
                // A zone behind a percent sign, as link-local addresses have it, can't be used: passed over.
                Some("nameserver") => conf
                    .servers
                    .extend(words.next().and_then(|word| word.parse::<IpAddr>().ok())),
                Some("search" | "domain") => {
                    conf.search = words.map(|word| word.trim_matches('.').to_owned()).collect();
                }
                Some("options") => words.for_each(|word| conf.option(word)),
                _ => {}
            }
        }
        conf.servers.truncate(3);
        conf.search.retain(|domain| !domain.is_empty());
        if conf.servers.is_empty() {
            conf.servers.push(Ipv4Addr::LOCALHOST.into());
        }
        conf
    }

    fn option(&mut self, word: &str) {
        let Some((name, number)) = word.split_once(':') else {
            return;
        };
        let Ok(number) = number.parse::<u32>() else {
            return;
        };
        // resolv.conf(5) has these limits.
        match name {
            "ndots" => self.ndots = number.min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(number.clamp(1, 30).into()),
            "attempts" => self.attempts = number.clamp(1, 5),
            _ => {}
        }
    }

    /// The names to ask for, in order.
    fn names(&self, host: &str) -> Vec<String> {
        if let Some(whole) = host.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let with_domains = self.search.iter().map(|domain| format!("{host}.{domain}"));
        let mut names: Vec<_> = with_domains.collect();
        let has_dots = host.matches('.').count() >= self.ndots;
        let place = if has_dots { 0 } else { names.len() };
        names.insert(place, host.to_owned());
        names
    }

    fn ask(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        for name in self.names(host) {
            match self.ask_all(&name)? {
                Answer::Addresses(addresses) if !addresses.is_empty() => return Ok(addresses),
                Answer::Addresses(_) | Answer::NoSuchName => {}
            }
        }
        Err(format!("no name server knows the host {host}"))
    }

    /// One server after the other, as often as the file says.
    fn ask_all(&self, name: &str) -> Result<Answer, String> {
        let mut last = String::new();
        for _ in 0..self.attempts {
            for server in &self.servers {
                match dns::ask(SocketAddr::new(*server, 53), name, self.timeout) {
                    Ok(answer) => return Ok(answer),
                    Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
                        return Err(format!("{name} can't be the name of a host"));
                    }
                    Err(error) => last = format!("{server}: {}", cause(&error)),
                }
            }
        }
        Err(format!("no name server answers ({last}): is this machine connected?"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read() {
        let text = "127.0.0.1 localhost\n::1 localhost ip6-localhost # here\n10.0.0.5\tr.example  r\n#10.0.0.6 r\n";
        let of = |name: &str| {
            from_hosts(text, name)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(of("localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(of("R"), ["10.0.0.5"]);
        assert!(of("here").is_empty());
    }

    #[test]
    fn resolv_conf_is_read() {
        let text = "; c\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver ::1\nsearch a.example b.example.\n\
                    options ndots:2 timeout:99 edns0 attempts:3\n";
        let conf = ResolvConf::parse(text);
        assert_eq!(
            conf.servers,
            ["10.0.0.1", "::1"].map(|text| text.parse::<IpAddr>().unwrap())
        );
        assert_eq!(conf.timeout, Duration::from_secs(30));
        assert_eq!(conf.names("r"), ["r.a.example", "r.b.example", "r"]);
        assert_eq!(conf.names("r.x.y"), ["r.x.y", "r.x.y.a.example", "r.x.y.b.example"]);
        assert_eq!(conf.names("r."), ["r"]);
        assert_eq!(ResolvConf::parse("").servers, [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    }

    #[test]
    fn addresses_need_no_lookup() {
        let names = Names::new(NameFiles {
            hosts: "/nonexistent".into(),
            resolv_conf: "/nonexistent".into(),
        });
        assert_eq!(names.addresses("::1").unwrap().len(), 1);
        assert_eq!(names.addresses("a.localhost").unwrap().len(), 2);
    }
}
