//! Certificates: the authorities of this machine, a host's own files, and what is wrong with a server's.

use crate::error::{Error, IoExt, Result, read_optional};
use crate::settings::{AuthorityFiles, Settings};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem};

/// Files with certificates are smaller.
const LARGEST: u64 = 16 << 20;

/// Certificates in a form to hand on.
pub(crate) type Certificates = Vec<Certificate<'static>>;

/// The files of one host: more authorities, and who we are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct HostFiles {
    /// `*.crt`: authorities beside the machine's.
    pub(crate) authorities: Vec<PathBuf>,
    /// `*.cert` with its `*.key`.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}

impl HostFiles {
    pub(crate) fn is_empty(&self) -> bool {
        self.authorities.is_empty() && self.client.is_none()
    }

    /// The files of a host in containers-certs.d(5); the first directory that has any counts. A directory named on
    /// purpose stands alone, and has to be there.
    pub(crate) fn find(settings: &Settings, authority: &str) -> Result<Self> {
        if let Some(directory) = &settings.cert_dir {
            std::fs::metadata(directory).on("read", directory)?;
            return Self::in_directory(directory);
        }
        for parent in &settings.certificates {
            let files = Self::in_directory(&parent.join(authority))?;
            if !files.is_empty() {
                return Ok(files);
            }
        }
        Ok(Self::default())
    }

    fn in_directory(directory: &Path) -> Result<Self> {
        let mut files = Self::default();
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
            Err(error) => return Err(error).on("read", directory),
        };
        for entry in entries {
            let path = entry.on("read", directory)?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => files.authorities.push(path),
                Some("cert") => {
                    let key = path.with_extension("key");
                    if !key.exists() {
                        return Err(Error::configuration(
                            &path,
                            format!("its key {} is missing", key.display()),
                        ));
                    }
                    files.client = Some((path, key));
                }
                _ => {}
            }
        }
        files.authorities.sort();
        Ok(files)
    }
}

/// The authorities that this machine trusts: read when the first HTTPS connection is about to be made.
pub(crate) fn authorities(files: &AuthorityFiles) -> Result<Certificates> {
    let mut found = Vec::new();
    for path in &files.bundles {
        if let Some(bytes) = read_optional(path, LARGEST)? {
            found.extend(certificates(path, &bytes)?);
            break;
        }
    }
    for directory in &files.directories {
        let Ok(entries) = std::fs::read_dir(directory) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            // As OpenSSL's own directories: one certificate a file, anything else passed over.
            if let Ok(Some(bytes)) = read_optional(&path, LARGEST) {
                found.extend(certificates(&path, &bytes).unwrap_or_default());
            }
        }
    }
    Ok(found)
}

fn certificates(path: &Path, bytes: &[u8]) -> Result<Certificates> {
    let mut found = Vec::new();
    for item in parse_pem(bytes) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(_) => return Err(Error::configuration(path, "it isn't PEM")),
        }
    }
    Ok(found)
}

/// What a connection to a host is secured with.
///
/// # Errors
/// Files that can't be read or aren't what they should be, or no authority at all.
pub(crate) fn config(verify: bool, machine: &Arc<Certificates>, files: &HostFiles) -> Result<TlsConfig> {
    let roots = if files.authorities.is_empty() {
        machine.clone()
    } else {
        let mut all = (**machine).clone();
        for path in &files.authorities {
            let more = certificates(path, &read(path)?)?;
            if more.is_empty() {
                return Err(Error::configuration(path, "there is no certificate in it"));
            }
            all.extend(more);
        }
        Arc::new(all)
    };
    let client = files
        .client
        .as_ref()
        .map(|(certificate, key)| identity(certificate, key))
        .transpose()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(RootCerts::Specific(roots))
        .client_cert(client)
        .disable_verification(!verify)
        .build())
}

fn identity(certificate: &Path, key: &Path) -> Result<ClientCert> {
    let chain = certificates(certificate, &read(certificate)?)?;
    let secret =
        PrivateKey::from_pem(&read(key)?).map_err(|_| Error::configuration(key, "there is no private key in it"))?;
    let provider = rustls::crypto::ring::default_provider();
    // ureq takes a key that fits for granted.
    let der = rustls::pki_types::PrivateKeyDer::try_from(secret.der().to_vec())
        .map_err(|_| Error::configuration(key, "its kind of key is unknown"))?;
    let signing = provider
        .key_provider
        .load_private_key(der)
        .map_err(|error| Error::configuration(key, error))?;
    let ders = chain
        .iter()
        .map(|one| rustls::pki_types::CertificateDer::from(one.der().to_vec()));
    rustls::sign::CertifiedKey::new(ders.collect(), signing)
        .keys_match()
        .map_err(|error| Error::configuration(certificate, format!("its key doesn't fit: {error}")))?;
    Ok(ClientCert::new_with_certs(&chain, secret))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    read_optional(path, LARGEST)?.ok_or_else(|| Error::configuration(path, "it is missing"))
}

/// What went wrong with TLS.
pub(crate) enum Trouble {
    /// The other side speaks something else: most likely plain HTTP.
    NotTls,
    /// Worth another try: the connection broke.
    Lost,
    /// A certificate or another part that won't get better: the reason, and what to do.
    Fatal(String, &'static str),
}

const SELF_MADE: &str =
    "put its authority's certificate into /etc/containers/certs.d/HOST/ca.crt, or give --tls-verify=false";

/// Puts rustls's error into words.
pub(crate) fn explain(error: &rustls::Error) -> Trouble {
    use rustls::CertificateError as C;
    let fatal = |reason: &str, remedy| Trouble::Fatal(reason.to_owned(), remedy);
    match error {
        rustls::Error::InvalidMessage(_) => Trouble::NotTls,
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            C::Expired | C::ExpiredContext { .. } => fatal(
                "its certificate has expired",
                "tell its administrators, and look whether this machine's clock is right",
            ),
            C::NotValidYet | C::NotValidYetContext { .. } => fatal(
                "its certificate isn't valid yet",
                "look whether this machine's clock is right",
            ),
            // An authority with the right name and another key signed it: just as unknown.
            C::UnknownIssuer | C::BadSignature => {
                fatal("its certificate is signed by nobody this machine trusts", SELF_MADE)
            }
            C::NotValidForName | C::NotValidForNameContext { .. } => fatal(
                "its certificate is for another name",
                "use the name that is in the certificate",
            ),
            C::Revoked => fatal("its certificate is revoked", "tell its administrators"),
            other => Trouble::Fatal(
                format!(
                    "its certificate is invalid ({})",
                    crate::error::one_line(&other.to_string(), 120)
                ),
                SELF_MADE,
            ),
        },
        rustls::Error::AlertReceived(alert) => Trouble::Fatal(
            format!("it ends TLS with the alert {alert:?}"),
            "it may want a client certificate: put client.cert and client.key into /etc/containers/certs.d/HOST",
        ),
        rustls::Error::PeerMisbehaved(_) | rustls::Error::PeerIncompatible(_) => Trouble::Fatal(
            format!("TLS fails ({})", crate::error::one_line(&error.to_string(), 120)),
            "its TLS may be too old: 1.2 is the oldest we speak",
        ),
        rustls::Error::DecryptError => Trouble::Lost,
        other => Trouble::Fatal(
            format!("TLS fails ({})", crate::error::one_line(&other.to_string(), 120)),
            "look at the server's own log",
        ),
    }
}
