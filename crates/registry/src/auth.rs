//! Basic and token authentication: challenges, tokens with their scopes, and when they expire.
//!
//! RFC 7617, RFC 6750; distribution: spec/auth/token.md, spec/auth/oauth.md.

mod challenge;

use crate::config::Endpoint;
use crate::credentials::{self, Credential};
use crate::error::{Error, Result};
use crate::http::{Answer, Failure, Payload, Url, url::encode};
use crate::session::{Hop, Session};
use crate::settings::Settings;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use challenge::Challenge;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::http::Method;

/// Tokens are smaller.
const LARGEST: u64 = 1 << 20;

/// What was learnt of registries: which kind of proof they want, and the tokens they gave.
pub(crate) struct Authorizer {
    settings: Arc<Settings>,
    wanted: Mutex<HashMap<String, Wanted>>,
    tokens: Mutex<HashMap<(String, String), Token>>,
    credentials: Mutex<HashMap<String, Option<Credential>>>,
}

/// The kind of proof that a registry wants.
#[derive(Debug, Clone)]
enum Wanted {
    Basic,
    Token { realm: Url, service: Option<String> },
}

#[derive(Clone)]
struct Token {
    text: String,
    until: Instant,
}

impl Authorizer {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            wanted: Mutex::default(),
            tokens: Mutex::default(),
            credentials: Mutex::default(),
        }
    }

    /// The `Authorization` that a request is sent with: none as long as the registry hasn't asked for any.
    pub(crate) fn header(
        &self,
        session: &Session,
        endpoint: &Endpoint,
        scopes: &[String],
    ) -> Result<Option<String>, Failure> {
        let wanted = lock(&self.wanted).get(&endpoint.authority).cloned();
        match wanted {
            None => Ok(None),
            Some(Wanted::Basic) => Ok(self.credential(endpoint)?.as_ref().and_then(basic)),
            Some(Wanted::Token { realm, service }) => {
                let key = (endpoint.authority.clone(), scopes.join(" "));
                let known = lock(&self.tokens).get(&key).cloned();
                if let Some(token) = known.filter(|token| token.until > Instant::now()) {
                    return Ok(Some(format!("Bearer {}", token.text)));
                }
                let token = self.fetch(session, endpoint, &realm, service.as_deref(), scopes)?;
                let header = format!("Bearer {}", token.text);
                lock(&self.tokens).insert(key, token);
                Ok(Some(header))
            }
        }
    }

    /// Learns from a 401; afterwards [`Self::header`] has something new to send.
    ///
    /// # Errors
    /// Where there is nothing new to try: no credentials, wrong ones, or a challenge nobody can meet.
    pub(crate) fn challenged(
        &self,
        session: &Session,
        endpoint: &Endpoint,
        scopes: &[String],
        (answer, sent, what): (Answer, Option<&str>, &str),
    ) -> Result<(), Failure> {
        let headers = answer.headers.get_all("www-authenticate");
        let texts: Vec<_> = headers.iter().filter_map(|value| value.to_str().ok()).collect();
        let challenges: Vec<_> = texts.iter().flat_map(|text| challenge::parse(text)).collect();
        let token = challenges.iter().find(|one| one.scheme == "bearer");
        if let Some(challenge) = token {
            return self.challenged_for_token(session, endpoint, scopes, (challenge, &answer.url));
        }
        if challenges.iter().any(|one| one.scheme == "basic") {
            lock(&self.wanted).insert(endpoint.authority.clone(), Wanted::Basic);
            let can_try = !sent.is_some_and(|sent| sent.starts_with("Basic "));
            if can_try && matches!(self.credential(endpoint)?, Some(Credential::Password { .. })) {
                return Ok(());
            }
            return Err(self.unauthorized(endpoint, what, &answer.explanation()).into());
        }
        let reason = match challenges.first() {
            Some(other) => format!(
                "it wants {:?} authentication, which we can't do",
                crate::error::one_line(&other.scheme, 30)
            ),
            None => "it answers 401 without saying how to authenticate".to_owned(),
        };
        Err(Error::broken(&answer.url, reason).into())
    }

    fn challenged_for_token(
        &self,
        session: &Session,
        endpoint: &Endpoint,
        scopes: &[String],
        (challenge, url): (&Challenge, &Url),
    ) -> Result<(), Failure> {
        let realm = challenge.parameter("realm").unwrap_or_default();
        let realm = Url::parse(realm)
            .map_err(|reason| Error::broken(url, format!("the address of its token server is wrong: {reason}")))?;
        if url.https && !realm.https {
            let reason = format!("its token server {realm} is plain HTTP, where anybody could read the password");
            return Err(Error::broken(url, reason).into());
        }
        if realm.is_link_local() && !url.is_link_local() {
            let reason =
                format!("its token server {realm} is an address that this machine alone asks for its own secrets");
            return Err(Error::broken(url, reason).into());
        }
        let service = challenge.parameter("service").map(str::to_owned);
        let mut all = scopes.to_vec();
        // A registry behind a proxy may know the repository by another name.
        for scope in challenge.parameter("scope").unwrap_or_default().split(' ') {
            if !scope.is_empty() && !all.iter().any(|other| covers(other, scope)) {
                all.push(scope.to_owned());
            }
        }
        let key = (endpoint.authority.clone(), scopes.join(" "));
        let token = self.fetch(session, endpoint, &realm, service.as_deref(), &all)?;
        lock(&self.tokens).insert(key, token);
        lock(&self.wanted).insert(endpoint.authority.clone(), Wanted::Token { realm, service });
        Ok(())
    }

    /// Gets a token: for an identity token by OAuth2, else by a GET, with the password where we have one.
    fn fetch(
        &self,
        session: &Session,
        endpoint: &Endpoint,
        realm: &Url,
        service: Option<&str>,
        scopes: &[String],
    ) -> Result<Token, Failure> {
        let credential = self.credential(endpoint)?;
        let mut hop = Hop::new(Method::GET, realm.clone());
        let form;
        if let Some(Credential::IdentityToken(secret)) = &credential {
            form = refresh_form(secret, service, scopes);
            hop.is_secret = true;
            hop.method = Method::POST;
            hop.headers
                .push(("content-type", "application/x-www-form-urlencoded".to_owned()));
            hop.payload = Payload::Bytes(form.as_bytes());
        } else {
            if let Some(service) = service {
                hop.url = hop.url.with_query("service", service);
            }
            for scope in scopes {
                hop.url = hop.url.with_query("scope", scope);
            }
            if let Some(Credential::Password { user, .. }) = &credential {
                hop.url = hop.url.with_query("account", user);
            }
            hop.authorization = credential.as_ref().and_then(basic);
        }
        let what = format!("get a token for {}", endpoint.registry);
        let answer = session.again_and_again(hop, endpoint.verifies(), &what)?;
        if matches!(answer.status.as_u16(), 400 | 401 | 403) {
            let said = answer.explanation();
            return Err(self.unauthorized(endpoint, "in", &said).into());
        }
        if !answer.status.is_success() {
            return Err(crate::session::refused(realm.authority.clone(), &what, answer).into());
        }
        read_token(answer)
    }

    /// The error for credentials that are missing or wrong.
    fn unauthorized(&self, endpoint: &Endpoint, what: &str, said: &str) -> Error {
        let registry = &endpoint.registry;
        let said = if said.is_empty() {
            String::new()
        } else {
            format!(" ({said})")
        };
        let (reason, remedy) = match self.credential(endpoint) {
            Ok(Some(Credential::Password { user, .. })) => (
                format!("it doesn't take the password of {user:?}{said}"),
                format!("log in again: wiac login {registry}"),
            ),
            Ok(Some(Credential::IdentityToken(_))) => (
                format!("it doesn't take the stored identity token{said}"),
                format!("log in again: wiac login {registry}"),
            ),
            _ => (
                format!("it wants to know who asks{said}"),
                format!("log in: wiac login {registry}"),
            ),
        };
        Error::Unauthorized {
            registry: registry.clone(),
            what: what.to_owned(),
            reason,
            remedy,
        }
    }

    /// The error for a registry that goes on asking.
    pub(crate) fn unsatisfied(&self, endpoint: &Endpoint, what: &str, answer: Answer) -> Error {
        let said = answer.explanation();
        match lock(&self.wanted).get(&endpoint.authority) {
            Some(Wanted::Token { .. }) => {}
            _ => return self.unauthorized(endpoint, what, &said),
        }
        let said = if said.is_empty() {
            String::new()
        } else {
            format!(" ({said})")
        };
        let remedy = match self.credential(endpoint) {
            Ok(Some(_)) => "the user that is logged in may lack the right to it".to_owned(),
            _ => format!("log in: wiac login {}", endpoint.registry),
        };
        Error::Unauthorized {
            registry: endpoint.registry.clone(),
            what: what.to_owned(),
            reason: format!("the token that it gave us isn't enough for it{said}"),
            remedy,
        }
    }

    /// Who we are to an endpoint. `--creds` count for the registry that is named, never for a mirror.
    fn credential(&self, endpoint: &Endpoint) -> Result<Option<Credential>> {
        if let Some((user, password)) = &self.settings.creds
            && !endpoint.is_mirror
        {
            return Ok(Some(Credential::Password {
                user: user.clone(),
                password: password.clone(),
            }));
        }
        let name = endpoint.name();
        if let Some(known) = lock(&self.credentials).get(&name) {
            return Ok(known.clone());
        }
        let found = credentials::find(&self.settings.credentials, &endpoint.registry, &endpoint.repository)?;
        lock(&self.credentials).insert(name, found.clone());
        Ok(found)
    }

    /// Forgets everything: after a login or logout.
    pub(crate) fn forget(&self) {
        lock(&self.wanted).clear();
        lock(&self.tokens).clear();
        lock(&self.credentials).clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The header of RFC 7617; an identity token is no password.
fn basic(credential: &Credential) -> Option<String> {
    match credential {
        Credential::Password { user, password } => Some(format!(
            "Basic {}",
            BASE64_STANDARD.encode(format!("{user}:{password}"))
        )),
        Credential::IdentityToken(_) => None,
    }
}

/// True where a scope asks for at least what the other does: `repository:a:pull,push` for `repository:a:pull`.
fn covers(wide: &str, narrow: &str) -> bool {
    match (wide.rsplit_once(':'), narrow.rsplit_once(':')) {
        (Some((resource, actions)), Some((other, wanted))) => {
            resource == other
                && wanted
                    .split(',')
                    .all(|action| actions.split(',').any(|one| one == action))
        }
        _ => wide == narrow,
    }
}

fn refresh_form(secret: &str, service: Option<&str>, scopes: &[String]) -> String {
    let mut form = format!(
        "grant_type=refresh_token&client_id=wiac&refresh_token={}",
        encode(secret)
    );
    if let Some(service) = service {
        form = form + "&service=" + &encode(service);
    }
    if !scopes.is_empty() {
        form = form + "&scope=" + &encode(&scopes.join(" "));
    }
    form
}

fn read_token(answer: Answer) -> Result<Token, Failure> {
    // distribution: "for compatibility with older clients, a token should never be returned with less than 60 seconds".
    const SHORTEST: u64 = 60;
    let now = Instant::now();
    let url = answer.url.clone();
    let bytes = answer.document(LARGEST, "the token")?;
    let wrong = |reason: &str| Failure::fatal(Error::broken(&url, reason));
    // Both names of the token may be there, one of them null; the time may be any number, or what somebody took for one.
    let read: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|_| wrong("it should give a token, but its answer isn't JSON"))?;
    let named = |name: &str| read.get(name)?.as_str().filter(|token| !token.is_empty());
    let text = named("token").or_else(|| named("access_token")).unwrap_or_default();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("there is no token in its answer"));
    }
    let said = read.get("expires_in").and_then(serde_json::Value::as_u64);
    // None at all is as good as nothing said: a token that has expired when it comes would be fetched for each request.
    let seconds = said.filter(|seconds| *seconds > 0).unwrap_or(SHORTEST).min(24 * 3600);
    // Given up a little before its end: it has to arrive as well.
    let until = now + Duration::from_secs(seconds.saturating_sub(10).max(1));
    Ok(Token {
        text: text.to_owned(),
        until,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_cover_each_other() {
        assert!(covers("repository:a:pull,push", "repository:a:pull"));
        assert!(!covers("repository:a:pull", "repository:a:pull,push"));
        assert!(!covers("repository:a:pull", "repository:b:pull"));
        assert!(covers("registry:catalog:*", "registry:catalog:*"));
    }

    #[test]
    fn forms_are_encoded() {
        let form = refresh_form("a&b=c", Some("r.example"), &["repository:a:pull".to_owned()]);
        assert_eq!(
            form,
            "grant_type=refresh_token&client_id=wiac&refresh_token=a%26b%3Dc&service=r.example&scope=repository:a:pull"
        );
    }
}
