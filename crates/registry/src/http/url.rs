//! Addresses: only `http` and `https`, joined with what a `Location` says, shown without their secrets.

use std::fmt;
use std::net::IpAddr;

/// An address of the web.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Url {
    /// False for plain HTTP.
    pub(crate) https: bool,
    /// Host and, where one is written, port.
    pub(crate) authority: String,
    /// Path and query; begins with a slash.
    pub(crate) path: String,
}

impl Url {
    /// Reads an address; the reason why it is none can be shown.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(match text.split_once(':') {
                Some((scheme, _)) => format!("{:?} is no scheme for us", crate::error::one_line(scheme, 20)),
                None => "it isn't a whole address".to_owned(),
            });
        };
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            other => return Err(format!("{:?} is no scheme for us", crate::error::one_line(other, 20))),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err("it names a user beside the host".to_owned());
        }
        if !is_authority(authority) {
            return Err("it names no host".to_owned());
        }
        Ok(Self {
            https,
            authority: authority.to_ascii_lowercase(),
            path: clean_path(path)?,
        })
    }

    /// Where a `Location` (RFC 9110, 10.2.2) leads from here.
    pub(crate) fn join(&self, location: &str) -> Result<Self, String> {
        let location = location.trim();
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.scheme()));
        }
        if location.starts_with('/') {
            return Ok(Self {
                path: clean_path(location)?,
                ..self.clone()
            });
        }
        let before_path = location.split(['/', '?', '#']).next().unwrap_or_default();
        if before_path.contains(':') {
            return Self::parse(location);
        }
        let base = self.path.split('?').next().unwrap_or_default();
        let directory = if before_path.is_empty() {
            base
        } else {
            &base[..=base.rfind('/').unwrap_or(0)]
        };
        Ok(Self {
            path: without_dots(&clean_path(&format!("{directory}{location}"))?),
            ..self.clone()
        })
    }

    /// The same with one more parameter.
    pub(crate) fn with_query(mut self, name: &str, value: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(name);
        self.path.push('=');
        self.path.push_str(&encode(value));
        self
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// True where credentials for one may be sent to the other.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        self.https == other.https && self.authority == other.authority
    }

    /// The host alone, without port and brackets.
    pub(crate) fn host(&self) -> &str {
        host_of(&self.authority)
    }

    /// True for the addresses where clouds tell a machine its own secrets (169.254.169.254): nobody else's word leads there.
    pub(crate) fn is_link_local(&self) -> bool {
        match self.host().parse() {
            Ok(IpAddr::V4(address)) => address.is_link_local(),
            Ok(IpAddr::V6(address)) => {
                address.is_unicast_link_local()
                    // Amazon's and, in the last form, the old addresses.
                    || address.segments()[0] == 0xfd00 && address.segments()[1] == 0x0ec2
                    || address.to_ipv4_mapped().is_some_and(|address| address.is_link_local())
            }
            Err(_) => false,
        }
    }

    /// The whole text, query included: for the request, never for a message.
    pub(crate) fn whole(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.authority, self.path)
    }
}

impl fmt::Display for Url {
    /// Without the query, which may be a signature that opens the door to whoever has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split('?').next().unwrap_or_default();
        let shown = crate::error::one_line(path, 200);
        write!(f, "{}://{}{shown}", self.scheme(), self.authority)
    }
}

/// The host of an authority, without port and brackets.
pub(crate) fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

/// A value for a query: everything but letters, digits and what needs no care is percent-encoded.
pub(crate) fn encode(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/' | b':') {
            text.push(char::from(byte));
        } else {
            let digit = |half: u8| char::from(b"0123456789ABCDEF"[usize::from(half)]);
            text.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    text
}

/// True for a host with or without port; it is looked up in directories of configuration, too.
fn is_authority(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':' | b'[' | b']' | b'_');
    text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[') && text.bytes().all(allowed)
}

/// The parts "." and ".." carried out (RFC 3986, 5.2.4).
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            other => parts.push(other),
        }
    }
    if matches!(path.rsplit('/').next(), Some("." | "..")) {
        parts.push("");
    }
    format!("/{}{query}", parts.join("/"))
}

fn clean_path(path: &str) -> Result<String, String> {
    let path = path.split('#').next().unwrap_or_default();
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it has characters that an address can't have".to_owned());
    }
    Ok(match path.chars().next() {
        Some('/') => path.to_owned(),
        _ => format!("/{path}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever a server says, what is asked for next is an address of the web, in one line.
        #[test]
        fn a_location_leads_nowhere_else(location in r"[a-z:/?#@.\\ \[\]%]{0,30}|.{0,60}") {
            let base = Url::parse("https://r.example/v2/a/blobs/uploads/").unwrap();
            if let Ok(url) = base.join(&location) {
                let whole = url.whole();
                prop_assert!(whole.bytes().all(|byte| byte.is_ascii_graphic()), "{whole}");
                prop_assert!(!url.authority.contains('@'));
                prop_assert_eq!(Url::parse(&whole), Ok(url));
            }
        }
    }

    #[test]
    fn locations_are_joined() {
        let base = Url::parse("https://r.example:5000/v2/a/blobs/uploads/?x=1").unwrap();
        let joined = |location: &str| base.join(location).map(|url| url.whole());
        assert_eq!(
            joined("/v2/b?_state=a%3D").unwrap(),
            "https://r.example:5000/v2/b?_state=a%3D"
        );
        assert_eq!(joined("https://CDN.example/x").unwrap(), "https://cdn.example/x");
        assert_eq!(joined("//cdn.example").unwrap(), "https://cdn.example/");
        assert_eq!(joined("c2").unwrap(), "https://r.example:5000/v2/a/blobs/uploads/c2");
        assert_eq!(joined("../c").unwrap(), "https://r.example:5000/v2/a/blobs/c");
        assert_eq!(
            joined("./c/../../d/.?x=/../y").unwrap(),
            "https://r.example:5000/v2/a/blobs/d/?x=/../y"
        );
        assert_eq!(joined("../../../../../../c").unwrap(), "https://r.example:5000/c");
        assert_eq!(
            joined("?n=2").unwrap(),
            "https://r.example:5000/v2/a/blobs/uploads/?n=2"
        );
        assert_eq!(joined("http://plain/").unwrap(), "http://plain/");
        assert!(joined("file:///etc/passwd").unwrap_err().contains("file"));
        assert!(joined("gopher:x").unwrap_err().contains("gopher"));
        assert!(joined("https://user:secret@host/").is_err());
        assert!(joined("https://../x").is_err() && joined("https:///x").is_err());
        assert!(joined("/a\r\nX: y").is_err());
    }

    #[test]
    fn queries_are_not_shown() {
        let url = Url::parse("https://s3.example/blob?X-Signature=secret").unwrap();
        assert_eq!(url.to_string(), "https://s3.example/blob");
        assert_eq!(
            url.with_query("a", "b c&d").path,
            "/blob?X-Signature=secret&a=b%20c%26d"
        );
    }

    #[test]
    fn secrets_of_machines_are_known_by_their_addresses() {
        let is = |text: &str| Url::parse(text).unwrap().is_link_local();
        assert!(is("http://169.254.169.254/latest/") && is("http://169.254.170.2:80/") && is("http://[fe80::1]/"));
        assert!(is("http://[fd00:ec2::254]/") && is("http://[::ffff:169.254.169.254]:8080/x"));
        assert!(!is("http://10.0.0.1/") && !is("http://r.example/") && !is("http://[::1]/"));
    }

    #[test]
    fn hosts_lose_ports_and_brackets() {
        assert_eq!(host_of("[::1]:5000"), "::1");
        assert_eq!(host_of("a.example:5000"), "a.example");
        assert_eq!(host_of("a.example"), "a.example");
    }
}
