//! One request, one answer: connections, certificates and proxies chosen by host, times and sizes bounded.
//!
//! Redirects, authentication and further tries are `session`'s.

mod answer;
mod dns;
mod names;
pub(crate) mod proxy;
mod tls;
pub(crate) mod url;

pub(crate) use answer::{Answer, PatientBody};
pub(crate) use tls::HostFiles;
pub(crate) use url::Url;

use crate::error::{Error, Result, cause};
use crate::settings::Settings;
use names::Names;
use std::collections::HashMap;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tls::{Certificates, Trouble};
use ureq::http::request::Builder;
use ureq::http::{HeaderName, HeaderValue, Method, Response};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, AsSendBody, Proxy, SendBody, Timeout};

/// Headers that somebody has written down for a host.
pub(crate) type Headers = Arc<[(HeaderName, HeaderValue)]>;

/// A request that goes out once.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Those of its host.
    pub(crate) own: Headers,
    pub(crate) payload: Payload<'a>,
    /// Waits this long for the answer, where that is longer than usual.
    pub(crate) wait: Option<Duration>,
}

/// What a request carries.
pub(crate) enum Payload<'a> {
    /// Nothing at all: GET, HEAD, DELETE.
    None,
    /// These bytes; they can be sent again.
    Bytes(&'a [u8]),
    /// So many bytes of a stream, once.
    Stream(u64, &'a mut dyn Read),
}

/// Why there is no answer.
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// Another try may help.
    pub(crate) again: bool,
    /// The server doesn't speak TLS.
    pub(crate) not_tls: bool,
}

impl Failure {
    pub(crate) fn fatal(error: Error) -> Self {
        Self {
            error,
            again: false,
            not_tls: false,
        }
    }

    pub(crate) fn lost(error: Error) -> Self {
        Self {
            error,
            again: true,
            not_tls: false,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::fatal(error)
    }
}

/// Makes connections and keeps them for the next request.
pub(crate) struct Http {
    settings: Arc<Settings>,
    names: Names,
    machine: OnceLock<Result<Arc<Certificates>>>,
    agents: Mutex<Agents>,
}

#[derive(Default)]
struct Agents {
    of_host: HashMap<(String, bool, bool), Agent>,
    shared: HashMap<AgentKey, Agent>,
    /// Files that hosts.toml names for a host.
    named: HashMap<String, HostFiles>,
}

/// Hosts with the same answers here share their agent.
#[derive(PartialEq, Eq, Hash)]
struct AgentKey {
    https: bool,
    verify: bool,
    files: HostFiles,
    proxy: Option<String>,
}

impl Http {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self {
            names: Names::new(settings.names.clone()),
            settings,
            machine: OnceLock::new(),
            agents: Mutex::default(),
        }
    }

    /// Takes note of files that are named for a host; they count in the place of those in certs.d.
    pub(crate) fn take_files(&self, authority: &str, files: &HostFiles) {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if agents.named.get(authority) != Some(files) {
            agents.named.insert(authority.to_owned(), files.clone());
            agents.of_host.retain(|(host, ..), _| host != authority);
        }
    }

    /// Sends a request and reads the head of the answer.
    pub(crate) fn send(&self, request: Request, verify: bool) -> Result<Answer, Failure> {
        if self.settings.ending.is_ended() {
            return Err(Failure::fatal(Error::Ended));
        }
        let agent = self.agent(&request.url, verify)?;
        let url = request.url.clone();
        let mut builder = ureq::http::Request::builder()
            .method(request.method)
            .uri(request.url.whole());
        for (name, value) in &request.headers {
            let mut value = HeaderValue::from_str(value)
                .map_err(|_| Error::broken(&url, format!("the header {name} for it can't be sent")))?;
            value.set_sensitive(*name == "authorization");
            builder = builder.header(HeaderName::from_static(name), value);
        }
        // Ours count more: a token that was asked for, say.
        let is_ours = |name: &HeaderName| request.headers.iter().any(|(ours, _)| ours == name);
        for (name, value) in request.own.iter().filter(|(name, _)| !is_ours(name)) {
            builder = builder.header(name, value);
        }
        let wait = request.wait;
        let result = match request.payload {
            Payload::None => run(&agent, builder, (), wait),
            Payload::Bytes(content) => {
                let builder = builder.header("content-length", content.len());
                run(&agent, builder, SendBody::from_reader(&mut Cursor::new(content)), wait)
            }
            Payload::Stream(length, reader) => {
                let builder = builder.header("content-length", length);
                run(&agent, builder, SendBody::from_reader(reader), wait)
            }
        };
        match result {
            Ok(response) => Ok(Answer::new(response, url, &self.settings.patience)),
            Err(_) if self.settings.ending.is_ended() => Err(Failure::fatal(Error::Ended)),
            Err(error) => Err(self.with_proxy(&url, failure(&url, &error))),
        }
    }

    /// Names the proxy in the words for a lost connection: it may be the proxy's fault.
    fn with_proxy(&self, url: &Url, mut failure: Failure) -> Failure {
        if let (Error::Connection { reason, .. }, Some(proxy)) = (&mut failure.error, self.settings.proxies.of(url)) {
            *reason = format!("{reason} (through the proxy {})", shown_proxy(proxy));
        }
        failure
    }

    /// The agent for an address: made with the first request for its host.
    fn agent(&self, url: &Url, verify: bool) -> Result<Agent> {
        let host = (url.authority.clone(), url.https, verify);
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.of_host.get(&host) {
            return Ok(agent.clone());
        }
        let key = AgentKey {
            https: url.https,
            verify,
            files: match agents.named.get(&url.authority) {
                _ if !url.https => HostFiles::default(),
                Some(named) => named.clone(),
                None => HostFiles::find(&self.settings, &url.authority)?,
            },
            proxy: self.settings.proxies.of(url).map(str::to_owned),
        };
        let agent = if let Some(agent) = agents.shared.get(&key) {
            agent.clone()
        } else {
            let agent = self.new_agent(&key)?;
            self.settings.ending.take(&agent);
            agents.shared.insert(key, agent.clone());
            agent
        };
        agents.of_host.insert(host, agent.clone());
        Ok(agent)
    }

    fn new_agent(&self, key: &AgentKey) -> Result<Agent> {
        let patience = &self.settings.patience;
        let proxy = key.proxy.as_deref().map(new_proxy).transpose()?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(self.settings.user_agent.clone())
            .accept_encoding("identity")
            .max_idle_connections_per_host(8)
            .timeout_connect(Some(patience.connect))
            .timeout_send_request(Some(patience.answer))
            .timeout_recv_response(Some(patience.answer))
            .timeout_per_read(Some(patience.silence))
            .timeout_per_write(Some(patience.silence));
        let proxy_is_https = key.proxy.as_deref().is_some_and(|proxy| proxy.starts_with("https:"));
        if key.https || proxy_is_https {
            let machine = if key.verify { self.machine()? } else { Arc::default() };
            if key.verify && machine.is_empty() && key.files.authorities.is_empty() {
                return Err(Error::Tls {
                    host: "the server's certificate".to_owned(),
                    reason: "this machine has no certificates of authorities".to_owned(),
                    remedy: "install ca-certificates, or name a bundle in SSL_CERT_FILE".to_owned(),
                });
            }
            config = config.tls_config(tls::config(key.verify, &machine, &key.files)?);
        }
        let config = config.proxy(proxy).build();
        Ok(Agent::with_parts(config, DefaultConnector::new(), self.names.clone()))
    }

    fn machine(&self) -> Result<Arc<Certificates>> {
        self.machine
            .get_or_init(|| tls::authorities(&self.settings.authorities).map(Arc::new))
            .clone()
    }
}

fn run(
    agent: &Agent,
    builder: Builder,
    body: impl AsSendBody,
    wait: Option<Duration>,
) -> Result<Response<ureq::Body>, ureq::Error> {
    let request = builder.body(body)?;
    match wait {
        None => agent.run(request),
        Some(wait) => agent.run(
            agent
                .configure_request(request)
                .timeout_recv_response(Some(wait))
                .timeout_per_read(Some(wait))
                .build(),
        ),
    }
}

fn new_proxy(text: &str) -> Result<Proxy> {
    let wrong = |reason: &str| Error::connection(format!("the proxy {:?}", shown_proxy(text)), reason);
    // Which of its schemes are SOCKS's, and who looks a name up then (socks5: we; socks5h: the proxy), is ureq's to know, as
    // curl has it.
    Proxy::new(text)
        .map_err(|_| wrong("it isn't an address like http://proxy.example:3128 or socks5h://proxy.example:1080"))
}

/// A proxy's address without user and password.
fn shown_proxy(text: &str) -> String {
    let without_user = text.rsplit('@').next().unwrap_or_default();
    let host = without_user.rsplit("://").next().unwrap_or_default();
    crate::error::one_line(host.trim_end_matches('/'), 80)
}

/// Puts an error of the transport into words, and judges whether another try may help.
fn failure(url: &Url, error: &ureq::Error) -> Failure {
    let address = &url.authority;
    let lost = |reason: String| Failure::lost(Error::connection(address, reason));
    let fatal = |reason: String| Failure::fatal(Error::connection(address, reason));
    match error {
        ureq::Error::Io(error) => io_failure(url, error),
        ureq::Error::Rustls(error) => tls_failure(url, error),
        ureq::Error::Timeout(timeout) => lost(words(*timeout).to_owned()),
        ureq::Error::HostNotFound => fatal(format!("no name server knows the host {}", url.host())),
        ureq::Error::Other(reason) => fatal(reason.to_string()),
        ureq::Error::ConnectionFailed => lost("the connection fails".to_owned()),
        ureq::Error::ConnectProxyFailed(reason) => {
            fatal(format!("the proxy refuses ({})", crate::error::one_line(reason, 120)))
        }
        ureq::Error::LargeResponseHeader(..) => {
            Failure::fatal(Error::broken(url, "the head of its answer is larger than 64 KiB"))
        }
        ureq::Error::Tls(reason) => fatal((*reason).to_owned()),
        ureq::Error::Protocol(error) => Failure::fatal(Error::broken(
            url,
            format!("it isn't HTTP ({})", crate::error::one_line(&error.to_string(), 120)),
        )),
        other => fatal(crate::error::one_line(&other.to_string(), 200)),
    }
}

/// The same for an error that came while reading or writing.
pub(crate) fn io_failure(url: &Url, error: &io::Error) -> Failure {
    if let Some(inner) = error.get_ref() {
        if let Some(error) = inner.downcast_ref::<ureq::Error>() {
            return failure(url, error);
        }
        if let Some(error) = inner.downcast_ref::<rustls::Error>() {
            return tls_failure(url, error);
        }
        if let Some(error) = inner.downcast_ref::<Error>() {
            return Failure::fatal(error.clone());
        }
    }
    let reason = match error.kind() {
        io::ErrorKind::TimedOut if error.get_ref().is_some() => error.to_string(),
        io::ErrorKind::ConnectionRefused => "nothing listens there (connection refused)".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            "the connection was lost".to_owned()
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "nothing comes any more".to_owned(),
        _ => cause(error),
    };
    Failure::lost(Error::connection(&url.authority, reason))
}

fn tls_failure(url: &Url, error: &rustls::Error) -> Failure {
    let host = url.authority.clone();
    match tls::explain(error) {
        Trouble::NotTls => Failure {
            not_tls: true,
            ..Failure::fatal(Error::Tls {
                reason: "it doesn't speak TLS".to_owned(),
                remedy: "if it is meant to be plain HTTP, give --tls-verify=false or set insecure=true for it in \
                         registries.conf"
                    .to_owned(),
                host,
            })
        },
        Trouble::Lost => Failure::lost(Error::connection(host, "the connection was lost")),
        Trouble::Fatal(reason, remedy) => Failure::fatal(Error::Tls {
            remedy: remedy.replace("HOST", &host),
            reason,
            host,
        }),
    }
}

fn words(timeout: Timeout) -> &'static str {
    match timeout {
        Timeout::Resolve => "its name isn't found in time",
        Timeout::Connect => "no connection in time",
        Timeout::SendRequest | Timeout::SendBody | Timeout::PerWrite => "it doesn't take what we send",
        Timeout::RecvResponse => "no answer in time",
        _ => "nothing comes any more",
    }
}
