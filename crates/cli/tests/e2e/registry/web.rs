//! A web server that answers every request as a test says, right or wrong.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// An answer: status, content type, further headers, body.
pub struct Answer {
    pub status: u16,
    pub media_type: &'static str,
    pub headers: String,
    pub body: Vec<u8>,
    /// What is said of the body's length, where that isn't the truth.
    pub length: Option<u64>,
}

impl Answer {
    /// A body of a type, with 200.
    pub fn of(media_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            media_type,
            headers: String::new(),
            body: body.into(),
            length: None,
        }
    }
}

/// A request.
pub struct Asked {
    pub path: String,
    /// Each as it came, names in small letters.
    pub headers: Vec<(String, String)>,
}

impl Asked {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

type Handler = dyn Fn(&Asked) -> Answer + Send + Sync;

/// Starts it; it ends with the test's process. `handler` gets the path.
pub fn serve(handler: impl Fn(&str) -> Answer + Send + Sync + 'static) -> SocketAddr {
    serve_requests(move |asked| handler(&asked.path))
}

/// The same; `handler` gets the headers too.
pub fn serve_requests(handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let handler: Arc<Handler> = Arc::new(handler);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, handler) = (stream.expect("a connection"), handler.clone());
            // A client that has seen enough goes away.
            std::thread::spawn(move || drop(answer(stream, &*handler)));
        }
    });
    address
}

/// One request, one answer, and the end of the connection.
fn answer(mut stream: TcpStream, handler: &Handler) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut headers = Vec::new();
    while let Some(line) = lines.next().transpose()?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut words = first.split(' ');
    let (method, path) = (words.next(), words.next());
    let Some(path) = path.filter(|_| first.ends_with("HTTP/1.1")) else {
        // The beginning of TLS.
        return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    };
    let answer = handler(&Asked {
        path: path.to_owned(),
        headers,
    });
    let length = answer.length.unwrap_or(answer.body.len() as u64);
    write!(
        stream,
        "HTTP/1.1 {} Status\r\ncontent-type: {}\r\ncontent-length: {length}\r\nconnection: close\r\n{}\r\n",
        answer.status, answer.media_type, answer.headers
    )?;
    if method == Some("HEAD") {
        return Ok(());
    }
    stream.write_all(&answer.body)
}
