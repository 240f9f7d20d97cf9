//! Login: a password is tried before it is stored.

use crate::credentials::{self, Credential};
use crate::error::{Error, Result};
use crate::http::Failure;
use crate::session::{Hop, Session};
use ureq::http::Method;
use wiac_oci::reference::Reference;

/// Checks a registry's name, perhaps with a part of a path, and takes a scheme and a slash at the end off it.
pub(crate) fn check_key(key: &str) -> Result<&str> {
    let bare = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key)
        .trim_end_matches('/');
    let name = if bare.contains('/') {
        bare.to_owned()
    } else {
        format!("{bare}/x")
    };
    let is_registry = |reference: &Reference| name.starts_with(reference.registry()) || bare == "index.docker.io";
    match name.parse::<Reference>() {
        Ok(reference) if is_registry(&reference) => Ok(if bare == "index.docker.io" { "docker.io" } else { bare }),
        _ => Err(Error::Name(format!(
            "{key:?} is no registry: expected something like registry.example:5000"
        ))),
    }
}

/// Tries a user's password at a registry, and stores it.
pub(crate) fn login(session: &Session, key: &str, user: &str, password: &str) -> Result<String> {
    let key = check_key(key)?;
    attempt(session, key, user, password)?;
    let credential = Credential::Password {
        user: user.to_owned(),
        password: password.to_owned(),
    };
    credentials::store(&session.settings.credentials, key, &credential)
}

/// What is stored for a registry: the user, and the password where there is one.
pub(crate) fn stored(session: &Session, key: &str) -> Result<Option<(String, Option<String>)>> {
    let key = check_key(key)?;
    let (registry, repository) = key.split_once('/').unwrap_or((key, ""));
    let mut files = session.settings.credentials.clone();
    files.must_exist = false;
    Ok(
        credentials::find(&files, registry, repository)?.map(|found| match found {
            Credential::Password { user, password } => (user, Some(password)),
            Credential::IdentityToken(_) => ("<token>".to_owned(), None),
        }),
    )
}

/// Tries a user's password at a registry.
pub(crate) fn attempt(session: &Session, key: &str, user: &str, password: &str) -> Result<()> {
    let key = check_key(key)?;
    if user.contains(':') {
        return Err(Error::Name(format!("the user {user:?} can't have a colon in its name")));
    }
    let registry = key.split('/').next().unwrap_or(key);
    // A session of its own: what others are known to want doesn't count, nor do their tokens.
    let mut settings = (*session.settings).clone();
    settings.creds = Some((user.to_owned(), password.to_owned()));
    let trial = Session::new(settings);
    let endpoint = trial.config.registry(registry)?;
    let attempt = || {
        let https = trial.https(&endpoint)?;
        let hop = Hop::new(Method::GET, endpoint.root(https, ""));
        trial.ask(&endpoint, hop, &[], "log in")
    };
    let answer = attempt().map_err(|failure: Failure| failure.error)?;
    if !answer.status.is_success() {
        return Err(crate::session::refused(registry.to_owned(), "let us log in", answer));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_told_from_other_words() {
        assert_eq!(check_key("https://r.example:5000/").unwrap(), "r.example:5000");
        assert_eq!(check_key("quay.io/org").unwrap(), "quay.io/org");
        assert_eq!(check_key("index.docker.io").unwrap(), "docker.io");
        assert_eq!(check_key("localhost").unwrap(), "localhost");
        assert!(check_key("alpine").is_err());
        assert!(check_key("a b").is_err());
        assert!(check_key("").is_err());
    }
}
