//! Connections: used again, shared by threads, through proxies, given up in time.

use crate::image::{any_manifest, layer_of, noise, reference};
use crate::server::Server;
use crate::settings::{client, client_with};
use crate::tls::Authority;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use wiac_oci::manifest::media_type;
use wiac_registry::{Blob, Client};

fn serve(bytes: Vec<u8>) -> Server {
    Server::start(move |request, reply| match request.path.as_str() {
        "/v2/a/manifests/1" => reply.send(200, &[("content-type", media_type::MANIFEST)], &any_manifest()),
        path if path.starts_with("/v2/a/blobs/") => reply.send(200, &[], &bytes),
        _ => reply.send(200, &[], b""),
    })
}

#[test]
fn one_after_the_other_takes_one_connection() {
    let bytes = noise(500_000, 60);
    let server = serve(bytes.clone());
    let (client, _directory) = client();
    let name = reference(&server.authority(), "a:1");
    for _ in 0..5 {
        client.manifest(&name).unwrap();
        let mut found = Vec::new();
        client
            .blob(&name, &layer_of(&bytes), 0)
            .unwrap()
            .read_to_end(&mut found)
            .unwrap();
        assert!(found == bytes);
    }
    // Once more for the question whether it speaks TLS.
    assert_eq!(server.connections(), 2);
}

#[test]
fn threads_share_a_client() {
    fn is_shared<T: Send + Sync + Clone>() {}
    fn is_sent<T: Send>() {}
    is_shared::<Client>();
    is_sent::<Blob>();
    let bytes = noise(2_000_000, 61);
    let server = serve(bytes.clone());
    let (client, _directory) = client();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut found = Vec::new();
                let name = reference(&server.authority(), "a:1");
                client
                    .blob(&name, &layer_of(&bytes), 0)
                    .unwrap()
                    .read_to_end(&mut found)
                    .unwrap();
                assert!(found == bytes);
            });
        }
    });
}

/// A proxy that connects everybody with one server, and notes the heads of what it is asked.
fn proxy(target: u16) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = heads.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut client = stream.unwrap();
            let mut head = String::new();
            let mut reader = BufReader::new(client.try_clone().unwrap());
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
            noted.lock().unwrap().push(head);
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let mut server = TcpStream::connect(("127.0.0.1", target)).unwrap();
            let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || io::copy(&mut from, &mut to));
            std::thread::spawn(move || io::copy(&mut client, &mut server));
        }
    });
    (port, heads)
}

#[test]
fn a_proxy_is_gone_through() {
    let authority = Authority::new();
    let server = authority.serve("registry.example", false, None);
    let (port, heads) = proxy(server.port());
    let with_exceptions = |exceptions: &'static str| {
        let pem = authority.pem();
        client_with(move |settings, directory| {
            let bundle = directory.join("bundle.pem");
            std::fs::write(&bundle, pem).unwrap();
            settings.authorities.bundles = vec![bundle];
            settings.proxies.https = Some(format!("http://me:secret@127.0.0.1:{port}"));
            settings.proxies.exceptions = vec![exceptions.to_owned()];
            settings.patience.tries = 1;
            std::fs::write(directory.join("hosts"), "127.0.0.1 registry.example\n").unwrap();
        })
    };
    let (through, _directory) = with_exceptions("other.example");
    let name = reference("registry.example:7777", "a:1");
    through.manifest(&name).unwrap();
    let head = heads.lock().unwrap()[0].clone();
    assert!(head.starts_with("CONNECT registry.example:7777 HTTP/1.1\r\n"), "{head}");
    // me:secret
    assert!(head.contains("Proxy-Authorization: Basic bWU6c2VjcmV0"), "{head}");
    assert!(
        server
            .seen()
            .iter()
            .all(|request| request.header("proxy-authorization").is_none())
    );
    let (around, _directory) = with_exceptions("registry.example");
    let direct = reference(&format!("registry.example:{}", server.port()), "a:1");
    around.manifest(&direct).unwrap();
    assert_eq!(heads.lock().unwrap().len(), 1);
}

/// A SOCKS proxy (RFC 1928, 1929) that connects everybody with one server, and notes who asks for what.
fn socks_proxy(target: u16) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut client = stream.unwrap();
            let bytes = |client: &mut TcpStream, count: u8| {
                let mut bytes = vec![0; usize::from(count)];
                client.read_exact(&mut bytes).unwrap();
                bytes
            };
            let text = |client: &mut TcpStream| {
                let length = bytes(client, 1)[0];
                String::from_utf8(bytes(client, length)).unwrap()
            };
            let methods = bytes(&mut client, 2)[1];
            bytes(&mut client, methods);
            client.write_all(&[5, 2]).unwrap();
            bytes(&mut client, 1);
            let (user, password) = (text(&mut client), text(&mut client));
            client.write_all(&[1, 0]).unwrap();
            let host = match bytes(&mut client, 4)[3] {
                1 => format!("{:?}", bytes(&mut client, 4)),
                _ => text(&mut client),
            };
            let wanted = bytes(&mut client, 2);
            let wanted = u16::from_be_bytes([wanted[0], wanted[1]]);
            noted.lock().unwrap().push(format!("{user} {password} {host} {wanted}"));
            client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
            let mut server = TcpStream::connect(("127.0.0.1", target)).unwrap();
            let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || io::copy(&mut from, &mut to));
            std::thread::spawn(move || io::copy(&mut client, &mut server));
        }
    });
    (port, asked)
}

#[test]
fn a_socks_proxy_is_gone_through() {
    for (scheme, expected) in [
        ("socks5", "me secret [127, 0, 0, 2] 7777"),
        ("socks5h", "me secret registry.example 7777"),
    ] {
        let authority = Authority::new();
        let server = authority.serve("registry.example", false, None);
        let (port, asked) = socks_proxy(server.port());
        let (client, _directory) = client_with(|settings, directory| {
            let bundle = directory.join("bundle.pem");
            std::fs::write(&bundle, authority.pem()).unwrap();
            settings.authorities.bundles = vec![bundle];
            settings.proxies.https = Some(format!("{scheme}://me:secret@127.0.0.1:{port}"));
            settings.patience.tries = 1;
            std::fs::write(directory.join("hosts"), "127.0.0.2 registry.example\n").unwrap();
        });
        client.manifest(&reference("registry.example:7777", "a:1")).unwrap();
        let asked = asked.lock().unwrap();
        assert!(
            !asked.is_empty() && asked.iter().all(|line| line == expected),
            "{scheme}: {asked:?}"
        );
    }
}

#[test]
fn proxies_that_do_not_work_are_named_without_their_secrets() {
    for (proxy, expected) in [
        ("socks5h://me:secret@127.0.0.1:1", "127.0.0.1:1"),
        ("ftp://me:secret@127.0.0.1:1", "it isn't an address like"),
        ("http://me:secret@", "the proxy"),
        ("http://me:secret@127.0.0.1:1", "127.0.0.1:1"),
    ] {
        let (client, _directory) = client_with(|settings, _| {
            settings.proxies.https = Some(proxy.to_owned());
            settings.authorities.bundles = vec!["/etc/ssl/certs/ca-certificates.crt".into()];
            settings.patience.tries = 1;
        });
        let error = client
            .manifest(&reference("registry.example", "a:1"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected) && !error.contains("secret"), "{error}");
    }
}

#[test]
fn a_handshake_without_end_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, _directory) = client_with(|settings, directory| {
        let bundle = directory.join("bundle.pem");
        std::fs::write(&bundle, Authority::new().pem()).unwrap();
        settings.authorities.bundles = vec![bundle];
        settings.tls_verify = Some(true);
        settings.patience.connect = Duration::from_millis(200);
        settings.patience.tries = 2;
    });
    let start = Instant::now();
    let name = reference(&listener.local_addr().unwrap().to_string(), "a:1");
    let error = client.manifest(&name).unwrap_err().to_string();
    assert!(error.contains("no connection in time, 2 times"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20));
}
