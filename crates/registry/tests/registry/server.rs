//! A web server that does what a test says, however wrong: plain or with TLS, a thread for each connection.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What a client asked for.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The first byte of the range asked for.
    pub fn range_start(&self) -> Option<usize> {
        let range = self.header("range")?.strip_prefix("bytes=")?;
        range.split('-').next()?.parse().ok()
    }
}

/// The way back to the client.
pub struct Reply<'c> {
    stream: &'c mut dyn Write,
    raw: &'c TcpStream,
    sent: &'c AtomicU64,
    /// Whether the connection stays open for another request.
    keep: bool,
}

impl Reply<'_> {
    /// A whole answer.
    pub fn send(&mut self, status: u16, headers: &[(&str, &str)], body: &[u8]) {
        let length = body.len().to_string();
        let mut all = vec![("content-length", length.as_str())];
        all.extend_from_slice(headers);
        self.head(status, &all);
        self.bytes(body);
    }

    /// The head of an answer alone; no length is added.
    pub fn head(&mut self, status: u16, headers: &[(&str, &str)]) {
        let mut text = format!("HTTP/1.1 {status} Status\r\n");
        for (name, value) in headers {
            write!(text, "{name}: {value}\r\n").unwrap();
        }
        text.push_str("\r\n");
        self.bytes(text.as_bytes());
    }

    /// Bytes as they are; false where the client has gone away.
    pub fn bytes(&mut self, bytes: &[u8]) -> bool {
        let done = self.stream.write_all(bytes).and_then(|()| self.stream.flush()).is_ok();
        if done {
            self.sent.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        }
        self.keep &= done;
        done
    }

    /// Closes the connection after this answer.
    pub fn close(&mut self) {
        self.keep = false;
    }

    /// Breaks the connection off with a reset.
    pub fn reset(&mut self) {
        let none = Some(std::time::Duration::ZERO);
        rustix::net::sockopt::set_socket_linger(self.raw, none).unwrap();
        self.keep = false;
    }
}

type Handler = dyn Fn(&Request, &mut Reply) + Send + Sync;

/// A running server; it ends with the test's process.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    sent: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

impl Server {
    /// A server that answers by `handler`.
    pub fn start(handler: impl Fn(&Request, &mut Reply) + Send + Sync + 'static) -> Self {
        Self::with_tls(None, handler)
    }

    /// The same with TLS.
    pub fn with_tls(
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: impl Fn(&Request, &mut Reply) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            sent: Arc::default(),
            connections: Arc::default(),
        };
        let connections = server.connections.clone();
        let (seen, sent) = (server.seen.clone(), server.sent.clone());
        let handler: Arc<Handler> = Arc::new(handler);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (tls, handler, seen, sent) = (tls.clone(), handler.clone(), seen.clone(), sent.clone());
                std::thread::spawn(move || {
                    // A connection that ends is nothing a test of a server's faults wonders about.
                    let _ = connection(stream.unwrap(), tls, &*handler, &seen, &sent);
                });
            }
        });
        server
    }

    /// Its host and port.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What it was asked until now; without the question whether it speaks TLS.
    pub fn seen(&self) -> Vec<Request> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|request| request.path != "/v2/").cloned().collect()
    }

    /// How often a path was asked for.
    pub fn count(&self, beginning: &str) -> usize {
        self.seen()
            .iter()
            .filter(|request| request.path.starts_with(beginning))
            .count()
    }

    /// How often somebody connected.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many bytes went out.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn connection(
    tcp: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    handler: &Handler,
    seen: &Mutex<Vec<Request>>,
    sent: &AtomicU64,
) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let raw = tcp.try_clone()?;
    let stream: Box<dyn Stream> = match tls {
        Some(config) => {
            let session = rustls::ServerConnection::new(config).map_err(io::Error::other)?;
            Box::new(rustls::StreamOwned::new(session, tcp))
        }
        None => Box::new(tcp),
    };
    let mut stream = BufReader::new(stream);
    loop {
        let request = match read_request(&mut stream) {
            Ok(Some(request)) => request,
            Ok(None) => break,
            Err(error) => {
                // As web servers answer what isn't HTTP, the beginning of TLS for one.
                stream
                    .get_mut()
                    .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")?;
                return Err(error);
            }
        };
        seen.lock().unwrap().push(request.clone());
        let mut reply = Reply {
            stream: stream.get_mut(),
            raw: &raw,
            sent,
            keep: true,
        };
        handler(&request, &mut reply);
        if !reply.keep {
            break;
        }
    }
    Ok(())
}

fn read_request(stream: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        request
            .headers
            .push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if let Some(length) = request.header("content-length") {
        let length: u64 = length.parse().map_err(io::Error::other)?;
        // A body that is cut off is handled as far as it came.
        let _ = stream.take(length).read_to_end(&mut request.body);
    }
    Ok(Some(request))
}
