//! Proxies from the environment, by the rules that Go's programs (docker, podman) and curl share.

use super::url::Url;
use std::net::IpAddr;

/// What the environment says of proxies.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For plain HTTP.
    pub http: Option<String>,
    /// For HTTPS.
    pub https: Option<String>,
    /// Hosts that are reached without.
    pub exceptions: Vec<String>,
}

impl Proxies {
    /// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, or the same in lower case.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| variable(name).or_else(|| variable(&name.to_ascii_lowercase()));
        let all = either("ALL_PROXY");
        // A web server's CGI has a request's "Proxy:" header as HTTP_PROXY.
        let http = if variable("REQUEST_METHOD").is_some() {
            variable("http_proxy")
        } else {
            either("HTTP_PROXY")
        };
        Self {
            http: http.or_else(|| all.clone()),
            https: either("HTTPS_PROXY").or(all),
            exceptions: either("NO_PROXY")
                .unwrap_or_default()
                .split([',', ' '])
                .filter(|part| !part.is_empty())
                .map(str::to_ascii_lowercase)
                .collect(),
        }
    }

    /// The proxy that an address is reached through; never one for this machine itself.
    pub(crate) fn of(&self, url: &Url) -> Option<&str> {
        let proxy = if url.https { &self.https } else { &self.http }.as_deref()?;
        let host = url.host();
        let address: Option<IpAddr> = host.parse().ok();
        let is_here = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        let excepted = self
            .exceptions
            .iter()
            .any(|exception| excepts(exception, url, host, address));
        (!is_here && !excepted).then_some(proxy)
    }
}

/// `*`, a host with all below it, `.domain` for what is below alone, an address, a network, each with or without port.
fn excepts(exception: &str, url: &Url, host: &str, address: Option<IpAddr>) -> bool {
    if exception == "*" {
        return true;
    }
    if let Some(address) = address {
        if let Some((network, length)) = exception.split_once('/') {
            return in_network(address, network, length).unwrap_or(false);
        }
        if exception.parse() == Ok(address) {
            return true;
        }
    }
    let default_port = if url.https { "443" } else { "80" };
    let port = match url.authority.rsplit_once(':') {
        Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => port,
        _ => default_port,
    };
    let name = match exception.rsplit_once(':') {
        Some((name, wanted)) if !name.contains(':') => {
            if wanted != port {
                return false;
            }
            name
        }
        _ => exception,
    };
    let name = name.strip_prefix('*').unwrap_or(name);
    match name.strip_prefix('.') {
        Some(_) => host.ends_with(name),
        None => host == name || host.strip_suffix(name).is_some_and(|before| before.ends_with('.')),
    }
}

fn in_network(address: IpAddr, network: &str, length: &str) -> Option<bool> {
    let length: u32 = length.parse().ok()?;
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32_u32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let ((address, width), (network, network_width)) = (bits(address), bits(network.parse().ok()?));
    let shift = width.checked_sub(length)?;
    let same = shift == 128 || address >> shift == network >> shift;
    Some(width == network_width && same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(exceptions: &str) -> Proxies {
        Proxies::from_variables(|name| match name {
            "HTTPS_PROXY" => Some("http://proxy:3128".to_owned()),
            "http_proxy" => Some("http://plain:3128".to_owned()),
            "NO_PROXY" => Some(exceptions.to_owned()),
            _ => None,
        })
    }

    fn asked(exceptions: &str, url: &str) -> bool {
        proxies(exceptions).of(&Url::parse(url).unwrap()).is_some()
    }

    #[test]
    fn the_scheme_chooses() {
        let proxies = proxies("");
        let of = |url: &str| proxies.of(&Url::parse(url).unwrap()).map(str::to_owned);
        assert_eq!(of("https://a.example/").as_deref(), Some("http://proxy:3128"));
        assert_eq!(of("http://a.example/").as_deref(), Some("http://plain:3128"));
        assert_eq!(of("https://localhost:5000/"), None);
        assert_eq!(of("https://127.3.2.1/"), None);
        assert_eq!(of("https://[::1]:5000/"), None);
    }

    #[test]
    fn exceptions_are_gos() {
        assert!(!asked("example.com", "https://example.com/"));
        assert!(!asked("example.com", "https://r.example.com/"));
        assert!(asked("example.com", "https://notexample.com/"));
        assert!(asked(".example.com", "https://example.com/"));
        assert!(!asked("*.example.com", "https://r.example.com/"));
        assert!(!asked("10.0.0.0/8, other", "https://10.1.2.3/"));
        assert!(asked("10.0.0.0/8", "https://11.1.2.3/"));
        assert!(!asked("r.example:5000", "https://r.example:5000/"));
        assert!(asked("r.example:5000", "https://r.example/"));
        assert!(!asked("*", "https://r.example/"));
        assert!(!asked("0.0.0.0/0", "https://10.0.0.1/"));
        assert!(asked("10.0.0.0/99", "https://10.0.0.1/"));
    }
}
