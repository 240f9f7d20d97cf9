//! Answers HTTP requests with their number.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

fn main() -> std::io::Result<()> {
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    for number in 1_u64.. {
        let (mut stream, _) = listener.accept()?;
        let mut request = String::new();
        let mut lines = BufReader::new(stream.try_clone()?);
        while lines.read_line(&mut request)? > 2 {}
        let mut buffer = itoa::Buffer::new();
        let body = format!("request {}\n", buffer.format(number));
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())?;
        if request.starts_with("GET /quit ") {
            break;
        }
    }
    Ok(())
}
