//! A token server for docker-registry: signs what a user may do (distribution: spec/auth/jwt.md).

use crate::image::output;
use crate::server::Server;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The service that its tokens are for.
pub const SERVICE: &str = "test-registry";

/// A running token server: anybody may pull, `user` with the password `secret` may do everything.
pub struct TokenService {
    pub server: Server,
    /// The certificate of the key that signs.
    pub certificate: PathBuf,
}

impl TokenService {
    pub fn start(directory: &Path) -> Self {
        let (key, certificate) = (directory.join("token.key"), directory.join("token.crt"));
        let arguments = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=tokens -keyout";
        let mut openssl = Command::new("openssl");
        output(
            openssl
                .args(arguments.split(' '))
                .arg(&key)
                .arg("-out")
                .arg(&certificate),
        );
        let signer = Arc::new(Signer {
            key,
            certificate: certificate.clone(),
            directory: directory.to_owned(),
            count: AtomicU64::new(0),
        });
        let server = Server::start(move |request, reply| {
            let is_user = match request.header("authorization") {
                // user:secret
                Some("Basic dXNlcjpzZWNyZXQ=") => true,
                None => false,
                Some(_) => return reply.send(401, &[], br#"{"details":"incorrect username or password"}"#),
            };
            let query = request.path.split_once('?').unwrap_or_default().1;
            let scopes = query.split('&').filter_map(|pair| pair.strip_prefix("scope="));
            let token = signer.token(scopes.filter(|scope| !scope.is_empty()), is_user);
            reply.send(
                200,
                &[],
                json!({ "token": token, "expires_in": 60 }).to_string().as_bytes(),
            );
        });
        Self { server, certificate }
    }

    pub fn realm(&self) -> String {
        format!("http://{}/token", self.server.authority())
    }
}

struct Signer {
    key: PathBuf,
    certificate: PathBuf,
    directory: PathBuf,
    count: AtomicU64,
}

impl Signer {
    fn token<'q>(&self, scopes: impl Iterator<Item = &'q str>, is_user: bool) -> String {
        let access = scopes.map(|scope| {
            let scope = scope.replace("%2C", ",").replace("%2A", "*");
            let (resource, actions) = scope.rsplit_once(':').unwrap();
            let (kind, name) = resource.split_once(':').unwrap();
            let actions: Vec<_> = actions
                .split(',')
                .filter(|action| is_user || *action == "pull")
                .collect();
            json!({ "type": kind, "name": name, "actions": actions })
        });
        let access: Vec<_> = access.collect();
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let pem = std::fs::read_to_string(&self.certificate).unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        assert!(BASE64_STANDARD.decode(&body).is_ok());
        let header = json!({ "typ": "JWT", "alg": "RS256", "x5c": [body] });
        let claims = json!({
            "iss": "test", "sub": if is_user { "user" } else { "" }, "aud": SERVICE,
            "exp": now + 300, "nbf": now - 60, "iat": now, "jti": number.to_string(), "access": access,
        });
        let encode = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let path = self.directory.join(format!("signed-{number}"));
        std::fs::write(&path, &signed).unwrap();
        let mut openssl = Command::new("openssl");
        let signature = output(openssl.args(["dgst", "-sha256", "-sign"]).arg(&self.key).arg(&path));
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}
