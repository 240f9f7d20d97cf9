//! An answer: its head, and a body that is read with patience and up to a limit.

use super::{Failure, Url, io_failure};
use crate::error::{Error, one_line};
use crate::settings::Patience;
use serde::Deserialize;
use std::io::{self, Read};
use std::time::{Duration, Instant};
use ureq::http::{HeaderMap, Response, StatusCode};

/// What is read of the explanation of an error.
const EXPLANATION: u64 = 64 << 10;

/// A server's answer; the body isn't read yet.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Who answered: after redirects not who was asked.
    pub(crate) url: Url,
    body: PatientBody,
}

impl Answer {
    pub(super) fn new(response: Response<ureq::Body>, url: Url, patience: &Patience) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status,
            headers: parts.headers,
            url,
            body: PatientBody::new(Box::new(body.into_reader()), patience),
        }
    }

    /// A header's text; `None` where it is missing or isn't text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The media type, in lower case and without its parameters.
    pub(crate) fn media_type(&self) -> Option<String> {
        let text = self
            .header("content-type")?
            .split(';')
            .next()?
            .trim()
            .to_ascii_lowercase();
        (!text.is_empty()).then_some(text)
    }

    /// How long the body says it is.
    pub(crate) fn length(&self) -> Option<u64> {
        self.header("content-length")?.trim().parse().ok()
    }

    /// The body as a stream.
    pub(crate) fn into_body(self) -> PatientBody {
        self.body
    }

    /// The whole body, which may have `largest` bytes.
    pub(crate) fn document(mut self, largest: u64, what: &str) -> Result<Vec<u8>, Failure> {
        let too_large = |url: &Url| {
            let reason = format!("{what} is larger than {largest} bytes, which none should be");
            Failure::fatal(Error::broken(url, reason))
        };
        let length = self.length();
        if let Some(coding) = self.header("content-encoding").filter(|coding| *coding != "identity") {
            let reason = format!(
                "it sends {what} compressed ({}), which nobody asked for",
                one_line(coding, 40)
            );
            return Err(Failure::fatal(Error::broken(&self.url, reason)));
        }
        if length.is_some_and(|length| length > largest) {
            return Err(too_large(&self.url));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length.unwrap_or(4096)).unwrap_or(4096));
        let read = (&mut self.body).take(largest + 1).read_to_end(&mut bytes);
        read.map_err(|error| io_failure(&self.url, &error))?;
        if bytes.len() as u64 > largest {
            return Err(too_large(&self.url));
        }
        if length.is_some_and(|length| length > bytes.len() as u64) {
            let reason = format!("{what} ended after {} bytes", bytes.len());
            return Err(Failure::lost(Error::connection(&self.url.authority, reason)));
        }
        Ok(bytes)
    }

    /// What the registry says of its own error (distribution-spec, "Error Codes"): one line, perhaps empty.
    pub(crate) fn explanation(self) -> String {
        let is_html = self.media_type().is_some_and(|media_type| media_type.contains("html"));
        let mut bytes = Vec::new();
        // What was read until it breaks off has to do.
        let _ = self.body.take(EXPLANATION).read_to_end(&mut bytes);
        explain(&bytes, is_html)
    }
}

#[derive(Deserialize)]
struct Explanation {
    #[serde(default)]
    errors: Vec<OneError>,
    /// Token servers say it so.
    #[serde(default)]
    details: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

fn explain(bytes: &[u8], is_html: bool) -> String {
    let Ok(document) = serde_json::from_slice::<Explanation>(bytes) else {
        let text = String::from_utf8_lossy(bytes);
        if is_html || text.trim_start().starts_with('<') {
            return format!("a web page{} instead of a registry's answer", title(&text));
        }
        return one_line(&text, 160);
    };
    let each = document.errors.iter().take(3).map(|error| {
        let parts = [error.code.as_str(), error.message.as_str()];
        parts
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(": ")
    });
    let text = each.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
    if text.is_empty() {
        one_line(&format!("{} {}", document.message, document.details), 200)
    } else {
        one_line(&text, 300)
    }
}

fn title(page: &str) -> String {
    let lower = page.to_ascii_lowercase();
    let inside = lower.find("<title>").and_then(|start| {
        let start = start + "<title>".len();
        let end = lower[start..].find("</title>")?;
        page.get(start..start + end)
    });
    inside.map_or_else(String::new, |title| format!(" ({:?})", one_line(title, 60)))
}

/// A body that breaks off where the server is slower than we are patient.
///
/// Only the time spent waiting for it counts: its reader may take as long as they like.
pub(crate) struct PatientBody {
    inner: Box<dyn Read + Send>,
    slow_bytes: u64,
    slow_time: Duration,
    waited: Duration,
    arrived: u64,
}

impl PatientBody {
    fn new(inner: Box<dyn Read + Send>, patience: &Patience) -> Self {
        Self {
            inner,
            slow_bytes: patience.slow_bytes,
            slow_time: patience.slow_time,
            waited: Duration::ZERO,
            arrived: 0,
        }
    }
}

impl Read for PatientBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let start = Instant::now();
        let count = self.inner.read(buffer)?;
        self.waited += start.elapsed();
        self.arrived += count as u64;
        if self.waited >= self.slow_time {
            if self.arrived < self.slow_bytes && count > 0 {
                let reason = format!(
                    "only {} bytes came in {} s",
                    self.arrived,
                    self.waited.as_secs_f32().round()
                );
                return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
            }
            self.waited = Duration::ZERO;
            self.arrived = 0;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_put_into_a_line() {
        let text = br#"{"errors":[{"code":"DENIED","message":"no\nway","detail":{}},{"code":"X"}]}"#;
        assert_eq!(explain(text, false), "DENIED: no way; X");
        assert_eq!(
            explain(br#"{"details":"incorrect username or password"}"#, false),
            "incorrect username or password"
        );
        let page = b"<html><head><title>502 Bad\nGateway</title>";
        assert_eq!(
            explain(page, true),
            "a web page (\"502 Bad Gateway\") instead of a registry's answer"
        );
        assert_eq!(explain(b"oops\x1b[2J", false), "oops [2J");
        assert_eq!(explain(b"", false), "");
    }

    /// One byte at a time, after a pause.
    struct Drip;

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            std::thread::sleep(Duration::from_millis(1));
            buffer[0] = 0;
            Ok(1)
        }
    }

    #[test]
    fn a_drip_is_given_up() {
        let patience = Patience {
            slow_bytes: 1000,
            slow_time: Duration::from_millis(20),
            ..Patience::default()
        };
        let mut bytes = Vec::new();
        let result = PatientBody::new(Box::new(Drip), &patience).read_to_end(&mut bytes);
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(bytes.len() < 1000, "{}", bytes.len());
    }
}
