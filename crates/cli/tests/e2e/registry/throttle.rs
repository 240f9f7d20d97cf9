//! What stands between wiac and a registry: it lets so many bytes through in a second, and counts what the
//! registry sends.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// So much at once.
const PIECE: usize = 16 << 10;

/// What went through.
#[derive(Default)]
struct Counts {
    /// From the registry.
    down: AtomicU64,
    /// Connections that are open.
    open: AtomicUsize,
}

/// A running proxy; it ends with the test's process.
pub struct Throttle {
    address: SocketAddr,
    counts: Arc<Counts>,
}

impl Throttle {
    /// One before the registry at `target`; `rate` in bytes a second, for each connection and direction.
    pub fn start(target: &str, rate: u64) -> Self {
        Self::with(target, rate, u64::MAX)
    }

    /// One that falls silent after so many bytes from the registry, and keeps its connections open.
    pub fn silent_after(target: &str, bytes: u64) -> Self {
        Self::with(target, u64::MAX, bytes)
    }

    fn with(target: &str, rate: u64, most: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let throttle = Self {
            address: listener.local_addr().expect("an address"),
            counts: Arc::default(),
        };
        let (target, counts) = (target.to_owned(), throttle.counts.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                let server = TcpStream::connect(&target).expect("the registry is there");
                forward(&client, &server, &counts, (rate, most));
            }
        });
        throttle
    }

    /// An image of the registry, by way of here.
    pub fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.address)
    }

    /// Bytes that have come from the registry.
    pub fn down(&self) -> u64 {
        self.counts.down.load(Ordering::SeqCst)
    }

    /// Waits until nobody is connected: what a killed client sent has arrived or is lost.
    pub fn settle(&self) {
        let begun = Instant::now();
        while self.counts.open.load(Ordering::SeqCst) > 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "a connection never ends");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn forward(client: &TcpStream, server: &TcpStream, counts: &Arc<Counts>, (rate, most): (u64, u64)) {
    counts.open.fetch_add(1, Ordering::SeqCst);
    let ways = [
        (client.try_clone(), server.try_clone(), None),
        (server.try_clone(), client.try_clone(), Some(counts.clone())),
    ];
    let ways = ways.map(|(from, to, counts)| {
        let (from, to) = (from.expect("a second descriptor"), to.expect("a second descriptor"));
        std::thread::spawn(move || pass(from, to, counts.as_ref().map(|counts| &counts.down), (rate, most)))
    });
    let counts = counts.clone();
    std::thread::spawn(move || {
        for way in ways {
            let _ = way.join();
        }
        counts.open.fetch_sub(1, Ordering::SeqCst);
    });
}

/// Passes bytes on until either end has gone, no faster than `rate`; of those that are counted no more than `most` on all
/// connections.
fn pass(mut from: TcpStream, mut to: TcpStream, count: Option<&AtomicU64>, (rate, most): (u64, u64)) {
    let mut buffer = vec![0; PIECE];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if let Some(count) = count {
            let came = count.fetch_add(read as u64, Ordering::SeqCst) + read as u64;
            if came > most {
                loop {
                    std::thread::park();
                }
            }
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_micros(read as u64 * 1_000_000 / rate));
    }
    // Who is gone hears no more, and says no more.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
