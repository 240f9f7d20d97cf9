//! What a request goes through: plain HTTP or not, authentication, redirects, further tries, and the words for a no.

pub(crate) mod retry;

use crate::auth::Authorizer;
use crate::config::{Config, Endpoint, Security};
use crate::error::{Error, Result};
use crate::http::{Answer, Failure, Headers, Http, Payload, Request, Url};
use crate::settings::Settings;
pub(crate) use retry::Tries;
use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use ureq::http::Method;

/// More redirects than this are a loop.
const MOST_REDIRECTS: usize = 6;

/// A request, redirects included.
pub(crate) struct Hop<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Goes to the first host only.
    pub(crate) authorization: Option<String>,
    /// The same.
    pub(crate) own: Headers,
    pub(crate) payload: Payload<'a>,
    /// What it carries is for the first host only, too.
    pub(crate) is_secret: bool,
    pub(crate) wait: Option<Duration>,
}

impl Hop<'_> {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            authorization: None,
            own: Headers::default(),
            payload: Payload::None,
            is_secret: false,
            wait: None,
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Hop<'static> {
    pub(crate) fn carrying(self, payload: Payload<'_>) -> Hop<'_> {
        Hop {
            method: self.method,
            url: self.url,
            headers: self.headers,
            authorization: self.authorization,
            own: self.own,
            payload,
            is_secret: self.is_secret,
            wait: self.wait,
        }
    }
}

/// What all requests of a client share.
pub(crate) struct Session {
    pub(crate) settings: Arc<Settings>,
    pub(crate) config: Config,
    pub(crate) auth: Authorizer,
    http: Http,
    /// Hosts that may speak plain HTTP, and whether they speak HTTPS.
    https: Mutex<HashMap<String, bool>>,
}

impl Session {
    pub(crate) fn new(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        Self {
            config: Config::new(settings.clone()),
            auth: Authorizer::new(settings.clone()),
            http: Http::new(settings.clone()),
            https: Mutex::default(),
            settings,
        }
    }

    /// Whether an endpoint is spoken to by HTTPS; where both are allowed, by trying it.
    pub(crate) fn https(&self, endpoint: &Endpoint) -> Result<bool, Failure> {
        if !endpoint.files.is_empty() {
            self.http.take_files(&endpoint.authority, &endpoint.files);
        }
        match endpoint.security {
            Security::Strict => return Ok(true),
            Security::Plain => return Ok(false),
            Security::PlainAllowed | Security::Insecure => {}
        }
        let known = self.https.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(https) = known.get(&endpoint.authority) {
            return Ok(*https);
        }
        drop(known);
        let https = self.probe(endpoint)?;
        let mut known = self.https.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(endpoint.authority.clone(), https);
        Ok(https)
    }

    /// HTTPS first, as docker and podman do; a wrong certificate isn't got round by plain HTTP.
    fn probe(&self, endpoint: &Endpoint) -> Result<bool, Failure> {
        let ask = |https| {
            let request = Request {
                method: Method::GET,
                url: endpoint.root(https, ""),
                headers: Vec::new(),
                own: endpoint.headers.clone(),
                payload: Payload::None,
                wait: None,
            };
            self.http.send(request, endpoint.verifies())
        };
        let mut tries = Tries::new(&self.settings);
        loop {
            let failure = match ask(true) {
                Ok(_) => return Ok(true),
                Err(failure) if failure.not_tls => return Ok(false),
                Err(failure) => failure,
            };
            if !matches!(failure.error, Error::Connection { .. }) {
                return Err(failure);
            }
            let failure = match ask(false) {
                Ok(_) => return Ok(false),
                // What speaks HTTP, if badly, is what its words are about.
                Err(plain) if !matches!(plain.error, Error::Connection { .. }) => plain,
                Err(_) => failure,
            };
            if !failure.again || !tries.pause_after_loss() {
                return Err(Failure::fatal(tries.lost(failure.error)));
            }
        }
    }

    /// Asks an endpoint, with authentication and, for what can be sent again, further tries.
    ///
    /// The answer may have any status but 401 and those that are tried again.
    pub(crate) fn ask(
        &self,
        endpoint: &Endpoint,
        mut hop: Hop,
        scopes: &[String],
        what: &str,
    ) -> Result<Answer, Failure> {
        let mut was_challenged = false;
        loop {
            let authorization = self.auth.header(self, endpoint, scopes)?;
            // Learnt after this request's turn, a token wouldn't be new to the registry.
            let (next, can_repeat) = repeat(&mut hop);
            let mut next = next;
            // Where an upload goes on at another host, that host gets no credentials of ours.
            let is_own = next.url.authority == endpoint.authority;
            next.authorization = authorization.clone().filter(|_| is_own);
            if is_own {
                next.own = endpoint.headers.clone();
            }
            let answer = if can_repeat {
                self.again_and_again(next, endpoint.verifies(), what)?
            } else {
                self.follow(next, endpoint.verifies())?
            };
            if answer.status.as_u16() != 401 {
                return Ok(answer);
            }
            if was_challenged || answer.url.authority != endpoint.authority {
                return Err(self.auth.unsatisfied(endpoint, what, answer).into());
            }
            was_challenged = true;
            self.auth
                .challenged(self, endpoint, scopes, (answer, authorization.as_deref(), what))?;
            if !can_repeat {
                // The stream is used up; with the new token the caller can start again.
                let reason = format!("{} asked for a new token in the middle", endpoint.registry);
                return Err(Failure::lost(Error::connection(&endpoint.authority, reason)));
            }
        }
    }

    /// Sends a request as often as patience allows while the server is busy or the connection breaks.
    pub(crate) fn again_and_again(&self, mut hop: Hop, verify: bool, what: &str) -> Result<Answer, Failure> {
        let mut tries = Tries::new(&self.settings);
        loop {
            let (next, _) = repeat(&mut hop);
            match self.follow(next, verify) {
                Ok(answer) if retry::is_busy(&answer) => {
                    if !tries.pause(&answer) {
                        let registry = answer.url.authority.clone();
                        return Err(Failure::fatal(tries.busy(registry, what, answer)));
                    }
                }
                Ok(answer) => return Ok(answer),
                Err(failure) if failure.again => {
                    if !tries.pause_after_loss() {
                        return Err(Failure::fatal(tries.lost(failure.error)));
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Sends a request and follows redirects: never from HTTPS to HTTP, never with credentials to another host.
    pub(crate) fn follow(&self, mut hop: Hop, verify: bool) -> Result<Answer, Failure> {
        for _ in 0..=MOST_REDIRECTS {
            let (next, can_repeat) = repeat(&mut hop);
            let mut headers = next.headers;
            headers.extend(next.authorization.map(|value| ("authorization", value)));
            let request = Request {
                method: next.method,
                url: next.url,
                headers,
                own: next.own,
                payload: next.payload,
                wait: next.wait,
            };
            let answer = self.http.send(request, verify)?;
            let Some(location) = redirect(&answer) else {
                return Ok(answer);
            };
            let from = &answer.url;
            let wrong = |reason: String| Failure::fatal(Error::broken(from, reason));
            let to = from.join(location).map_err(|reason| {
                let shown = crate::error::one_line(location.split('?').next().unwrap_or_default(), 80);
                wrong(format!("it redirects to {shown:?}: {reason}"))
            })?;
            if from.https && !to.https {
                return Err(wrong(format!("it redirects from HTTPS to plain HTTP ({to})")));
            }
            if !can_repeat {
                return Err(wrong(format!(
                    "it redirects an upload to {to}, which can't be followed"
                )));
            }
            if to.is_link_local() && !from.is_link_local() {
                return Err(wrong(format!(
                    "it redirects to {to}, an address that this machine alone asks for its own secrets"
                )));
            }
            if !from.same_origin(&to) {
                if hop.is_secret && answer.status.as_u16() != 303 {
                    return Err(wrong(format!("it redirects a secret that is meant for it to {to}")));
                }
                hop.authorization = None;
                hop.own = Headers::default();
            }
            if answer.status.as_u16() == 303 {
                hop.method = Method::GET;
                hop.payload = Payload::None;
            }
            hop.url = to;
        }
        let reason = format!("it redirects more than {MOST_REDIRECTS} times");
        Err(Failure::fatal(Error::broken(&hop.url, reason)))
    }
}

/// The error for an answer that isn't a success.
pub(crate) fn refused(registry: String, what: &str, answer: Answer) -> Error {
    let status = answer.status;
    let limit = retry::limit(&answer);
    let said = answer.explanation();
    let what = what.to_owned();
    match status.as_u16() {
        401 => Error::Unauthorized {
            remedy: format!("log in: wiac login {registry}"),
            registry,
            what,
            reason: "it wants to know who asks".to_owned(),
        },
        403 => Error::Denied { registry, what, said },
        429 => retry::rate_limited(registry, said, limit),
        _ => Error::Refused {
            registry,
            what,
            status: status.to_string().replace(" <unknown status code>", ""),
            said,
        },
    }
}

/// The same request once more, and whether that can be done again: a stream goes out once.
fn repeat<'h>(hop: &'h mut Hop) -> (Hop<'h>, bool) {
    let (payload, can_repeat) = match &mut hop.payload {
        Payload::None => (Payload::None, true),
        Payload::Bytes(bytes) => (Payload::Bytes(bytes), true),
        Payload::Stream(length, reader) => (Payload::Stream(*length, &mut **reader as &mut dyn Read), false),
    };
    let next = Hop {
        method: hop.method.clone(),
        url: hop.url.clone(),
        headers: hop.headers.clone(),
        authorization: hop.authorization.clone(),
        own: hop.own.clone(),
        payload,
        is_secret: hop.is_secret,
        wait: hop.wait,
    };
    (next, can_repeat)
}

fn redirect(answer: &Answer) -> Option<&str> {
    match answer.status.as_u16() {
        301 | 302 | 303 | 307 | 308 => answer.header("location"),
        _ => None,
    }
}
