//! Certificates: right, expired, self-made, for another name; authorities and clients of certs.d.

use crate::image::{any_manifest, reference};
use crate::server::Server;
use crate::settings::client_with;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wiac_oci::manifest::media_type;
use wiac_registry::{Client, Kind, Settings};

/// Authorities have names of their own.
static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);

/// An authority of the test's own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let number = AUTHORITIES.fetch_add(1, Ordering::SeqCst);
        params
            .distinguished_name
            .push(DnType::CommonName, format!("authority {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key for a name, valid or expired.
    pub fn issue(&self, name: &str, is_expired: bool) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if is_expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    fn config(&self, name: &str, is_expired: bool, client: Option<&Self>) -> Arc<rustls::ServerConfig> {
        let (certificate, key) = self.issue(name, is_expired);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match client {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(authority.0.der().clone()).unwrap();
                let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap())
    }

    pub fn serve(&self, name: &str, is_expired: bool, client: Option<&Self>) -> Server {
        Server::with_tls(Some(self.config(name, is_expired, client)), |_, reply| {
            reply.send(200, &[("content-type", media_type::MANIFEST)], &any_manifest());
        })
    }
}

/// A client that trusts this authority as the machine's only one, and insists on certificates.
fn trusting(authority: &Authority, change: impl FnOnce(&mut Settings, &Path)) -> (Client, tempfile::TempDir) {
    client_with(|settings, directory| {
        let bundle = directory.join("bundle.pem");
        std::fs::write(&bundle, authority.pem()).unwrap();
        settings.authorities.bundles = vec![bundle];
        settings.tls_verify = Some(true);
        change(settings, directory);
    })
}

fn complaint(client: &Client, server: &Server) -> String {
    let name = reference(&format!("localhost:{}", server.port()), "a:1");
    let error = client.manifest(&name).unwrap_err();
    assert_eq!(error.kind(), Kind::Hostile, "{error}");
    assert!(
        server.seen().is_empty(),
        "nothing was asked before the certificate was right"
    );
    error.to_string()
}

fn succeeds(client: &Client, server: &Server) {
    client
        .manifest(&reference(&format!("localhost:{}", server.port()), "a:1"))
        .unwrap();
}

#[test]
fn a_right_certificate_is_trusted() {
    let authority = Authority::new();
    let (client, _directory) = trusting(&authority, |_, _| {});
    succeeds(&client, &authority.serve("localhost", false, None));
}

#[test]
fn wrong_certificates_are_explained() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (client, _directory) = trusting(&authority, |_, _| {});
    let said = complaint(&client, &authority.serve("localhost", true, None));
    assert!(said.contains("has expired"), "{said}");
    let said = complaint(&client, &authority.serve("other.example", false, None));
    assert!(said.contains("is for another name"), "{said}");
    let strange = other.serve("localhost", false, None);
    let said = complaint(&client, &strange);
    assert!(said.contains("signed by nobody this machine trusts"), "{said}");
    assert!(
        said.contains(&format!("certs.d/localhost:{}/ca.crt", strange.port())),
        "{said}"
    );
}

#[test]
fn this_machine_is_no_exception_to_certificates() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (client, _directory) = trusting(&authority, |settings, _| settings.tls_verify = None);
    let said = complaint(&client, &other.serve("localhost", false, None));
    assert!(said.contains("signed by nobody"), "{said}");
}

#[test]
fn any_certificate_will_do_where_told() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (client, _directory) = trusting(&authority, |settings, _| settings.tls_verify = Some(false));
    succeeds(&client, &other.serve("other.example", true, None));
    let strange = other.serve("localhost", true, None);
    let (client, _directory) = trusting(&authority, |settings, directory| {
        settings.tls_verify = None;
        let text = format!(
            "[[registry]]\nlocation = \"localhost:{}\"\ninsecure = true\n",
            strange.port()
        );
        std::fs::write(directory.join("registries.conf"), text).unwrap();
    });
    succeeds(&client, &strange);
}

#[test]
fn certs_d_adds_an_authority_for_its_host() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = other.serve("localhost", false, None);
    let (client, _directory) = trusting(&authority, |_, directory| {
        let own = directory.join(format!("certs.d/localhost:{}", server.port()));
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(own.join("ca.crt"), other.pem()).unwrap();
    });
    succeeds(&client, &server);
    let said = complaint(&client, &other.serve("localhost", false, None));
    assert!(
        said.contains("signed by nobody"),
        "another port has files of its own: {said}"
    );
}

#[test]
fn hosts_toml_names_authorities_too() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = other.serve("localhost", false, None);
    let name = format!("localhost:{}", server.port());
    let (client, _directory) = trusting(&authority, |_, directory| {
        let own = directory.join("hosts.d/r.example");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(own.join("ca.pem"), other.pem()).unwrap();
        let text = format!("[host.\"https://{name}\"]\nca = \"ca.pem\"\n");
        std::fs::write(own.join("hosts.toml"), text).unwrap();
    });
    assert_eq!(client.manifest(&reference("r.example", "a:1")).unwrap().from, name);
}

#[test]
fn a_client_certificate_is_shown() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let server = authority.serve("localhost", false, Some(&clients));
    let (nobody, _directory) = trusting(&authority, |_, _| {});
    let error = nobody
        .manifest(&reference(&format!("localhost:{}", server.port()), "a:1"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("client certificate"), "{error}");
    let (known, _directory) = trusting(&authority, |_, directory| {
        let own = directory.join(format!("certs.d/localhost:{}", server.port()));
        std::fs::create_dir_all(&own).unwrap();
        let (certificate, key) = clients.issue("me", false);
        std::fs::write(own.join("client.cert"), certificate.pem()).unwrap();
        std::fs::write(own.join("client.key"), key.serialize_pem()).unwrap();
    });
    succeeds(&known, &server);
}

#[test]
fn plain_http_only_where_told() {
    let authority = Authority::new();
    let plain = Server::start(|_, reply| {
        reply.send(200, &[("content-type", media_type::MANIFEST)], &any_manifest());
    });
    let (strict, _directory) = trusting(&authority, |_, _| {});
    let said = complaint(&strict, &plain);
    assert!(
        said.contains("doesn't speak TLS") && said.contains("--tls-verify=false"),
        "{said}"
    );
    for verify in [None, Some(false)] {
        let (client, _directory) = trusting(&authority, |settings, _| settings.tls_verify = verify);
        succeeds(&client, &plain);
    }
}

#[test]
fn https_never_leads_to_http() {
    let authority = Authority::new();
    let plain = Server::start(|_, reply| reply.send(200, &[], b""));
    let location = format!("http://{}/x", plain.authority());
    let server = Server::with_tls(Some(authority.config("localhost", false, None)), move |_, reply| {
        reply.send(307, &[("location", &location)], b"");
    });
    let (client, _directory) = trusting(&authority, |_, _| {});
    let name = reference(&format!("localhost:{}", server.port()), "a:1");
    let error = client.manifest(&name).unwrap_err().to_string();
    assert!(error.contains("redirects from HTTPS to plain HTTP"), "{error}");
    assert!(plain.seen().is_empty());
}

#[test]
fn nothing_is_read_that_is_not_needed() {
    let broken = |settings: &mut Settings, directory: &Path| {
        let garbage = directory.join("garbage");
        std::fs::write(&garbage, "-----BEGIN CERTIFICATE-----\nx").unwrap();
        settings.authorities.bundles = vec![garbage.clone()];
        settings.names.hosts = garbage.clone();
        settings.credentials.read = vec![garbage];
    };
    let plain = Server::start(|_, reply| {
        reply.send(200, &[("content-type", media_type::MANIFEST)], &any_manifest());
    });
    let text = format!("[host.\"http://{0}\"]\n", plain.authority());
    let (client, _directory) = client_with(|settings, directory| {
        broken(settings, directory);
        let own = directory.join("hosts.d/r.example");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(own.join("hosts.toml"), text).unwrap();
    });
    // Plain HTTP, an address and no question for a password: no certificates, names or credentials.
    client.manifest(&reference("r.example", "a:1")).unwrap();
    let authority = Authority::new();
    let secure = authority.serve("localhost", false, None);
    let (client, _directory) = client_with(|settings, directory| {
        broken(settings, directory);
        settings.tls_verify = Some(true);
    });
    let name = reference(&format!("localhost:{}", secure.port()), "a:1");
    let error = client.manifest(&name).unwrap_err().to_string();
    assert!(error.contains("garbage: it isn't PEM"), "{error}");
}

#[test]
fn a_machine_without_authorities_says_so() {
    let (client, _directory) = client_with(|settings, directory| {
        settings.authorities.bundles = vec![directory.join("missing.pem")];
    });
    let error = client
        .manifest(&reference("localhost.example", "a:1"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("ca-certificates"), "{error}");
}
