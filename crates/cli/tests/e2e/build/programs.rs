//! Real programs from the Dockerfiles in tests/programs, with packages of Debian, crates.io, `PyPI` and npm: built here, run
//! here, and run in podman and in docker.

use crate::harness::{Place, debian};
use crate::transfer::peers::{Docker, Unmounted, podman};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// Builds `tests/programs/<name>` as the image `name`, on a Debian.
fn build(place: &Place, name: &str) {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/programs");
    place
        .wiac(["import", "-q", &debian::tar().to_string_lossy(), "debian"])
        .that_takes_long()
        .succeeds();
    place.write("certificates/ca-certificates.crt", certificates());
    place
        .wiac(["build", "--build-context", "certificates=certificates", "-t", name])
        .arg(programs.join(name))
        .that_takes_long()
        .succeeds();
}

/// This machine's certificate authorities.
fn certificates() -> Vec<u8> {
    let path = "/etc/ssl/certs/ca-certificates.crt";
    std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error} (Debian: ca-certificates)"))
}

/// The image goes to podman and docker, which run it as we do.
fn runs_everywhere(place: &Place, name: &str, expected: &str) {
    place
        .wiac(["run", "--rm", name])
        .that_takes_long()
        .succeeds()
        .says(expected);
    hand_over(place, name, |call| {
        call.succeeds().says(expected);
    });
}

/// `run` gets the command that runs the image in podman, then in docker.
fn hand_over(place: &Place, name: &str, run: impl Fn(crate::harness::call::Call)) {
    place
        .wiac(["save", "-o", "image.tar", name])
        .that_takes_long()
        .succeeds();
    let _unmounted = Unmounted(place);
    podman(place)
        .args(["load", "-q", "-i", "image.tar"])
        .that_takes_long()
        .succeeds();
    run(podman(place)
        .args(["run", "--rm", "--network=host", name])
        .that_takes_long());
    let docker = Docker::start(place);
    place
        .wiac(["save", "--format", "docker-archive", "-o", "docker.tar", name])
        .that_takes_long()
        .succeeds();
    docker
        .call(["load", "-q", "-i", "docker.tar"])
        .that_takes_long()
        .succeeds();
    run(docker.call(["run", "--rm", "--network=host", name]).that_takes_long());
}

#[test]
fn a_c_program_with_a_library() {
    let place = Place::root();
    build(&place, "c");
    let said = place.wiac(["run", "--rm", "c"]).that_takes_long().succeeds();
    let version = place
        .wiac(["run", "--rm", "c", "cat", "/etc/debian_version"])
        .that_takes_long()
        .succeeds();
    let expected = format!("crc32 {:08x}, zlib ", crc32(version.stdout.as_bytes()));
    assert!(said.stdout.starts_with(&expected), "{said:?}: {expected}");
    runs_everywhere(&place, "c", said.text());
}

/// The CRC-32 of zlib, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes
        .iter()
        .fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

#[test]
fn a_rust_service() {
    let place = Place::root();
    build(&place, "rust");
    serves(|port| place.wiac(["run", "--rm", "-e", &format!("PORT={port}"), "rust"]));
    // Nothing of what it was built with is in it.
    place
        .wiac(["run", "--rm", "--entrypoint", "sh", "rust", "-c", "! command -v cargo"])
        .that_takes_long()
        .succeeds();
    place
        .wiac(["save", "-o", "image.tar", "rust"])
        .that_takes_long()
        .succeeds();
    let _unmounted = Unmounted(&place);
    podman(&place)
        .args(["load", "-q", "-i", "image.tar"])
        .that_takes_long()
        .succeeds();
    serves(|port| podman(&place).args(["run", "--rm", "--network=host", "-e", &format!("PORT={port}"), "rust"]));
    let docker = Docker::start(&place);
    docker
        .call(["load", "-q", "-i", "image.tar"])
        .that_takes_long()
        .succeeds();
    serves(|port| docker.call(["run", "--rm", "--network=host", "-e", &format!("PORT={port}"), "rust"]));
}

/// The service that `start` starts on a port answers there, and ends when it is asked to.
fn serves(start: impl Fn(u16) -> crate::harness::call::Call) {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.expect("a free port").port();
    let mut service = start(port).in_background();
    assert!(ask(port, "/").ends_with("\r\n\r\nrequest 1\n"));
    assert!(ask(port, "/quit").ends_with("\r\n\r\nrequest 2\n"));
    assert_eq!(service.exit_code(), 0);
}

/// What the service answers; it may not have started yet.
fn ask(port: u16, path: &str) -> String {
    let begun = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(30), "port {port}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

#[test]
fn a_python_application() {
    let place = Place::root();
    build(&place, "python");
    let listed = place.wiac(["cache", "ls"]).that_takes_long().succeeds();
    assert!(listed.stdout.contains("/root/.cache/pip"), "{listed:?}");
    runs_everywhere(&place, "python", "Hello, World & all");
}

#[test]
fn a_node_application() {
    let place = Place::root();
    build(&place, "node");
    runs_everywhere(&place, "node", "10800000 ms, new enough: true");
}
