//! Files of the web: one address, one file, no registry. What is known from an earlier time is asked about first.

use crate::error::{Error, Result};
use crate::http::{Answer, Failure, PatientBody, Url, io_failure};
use crate::session::{Hop, Session, retry};
use std::io::{self, Read};
use ureq::http::Method;

/// The largest file that is taken: what goes on longer isn't meant to end.
const LARGEST: u64 = 64 << 30;

/// Longer validators than this aren't kept.
const LONGEST_VALIDATOR: usize = 1024;

/// What a server said of a file: enough to ask whether it is still the same (RFC 9110, 8.8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`, as it came.
    pub etag: Option<String>,
    /// `Last-Modified`, as it came.
    pub last_modified: Option<String>,
}

/// The answer to a request for a file.
pub enum Download {
    /// It is what it was.
    Unchanged,
    /// It comes now.
    File(Box<WebFile>),
}

/// A file that is coming. Its reader fails where less arrives than was announced.
pub struct WebFile {
    /// What to ask with the next time.
    pub validators: Validators,
    /// When it was changed, in seconds since 1970, where the server says so.
    pub modified: Option<u64>,
    url: Url,
    body: PatientBody,
    announced: Option<u64>,
    arrived: u64,
}

/// Asks for a file. `known`: what it was before.
///
/// Redirects are followed, never from HTTPS to HTTP; a busy server is asked again.
pub(crate) fn download(session: &Session, address: &str, known: &Validators) -> Result<Download> {
    let url = Url::parse(address).map_err(|reason| {
        let shown = crate::error::one_line(address.split('?').next().unwrap_or_default(), 200);
        Error::Name(format!("{shown} can't be downloaded: {reason}"))
    })?;
    let mut hop = Hop::new(Method::GET, url.clone());
    if let Some(etag) = &known.etag {
        hop = hop.with("if-none-match", etag);
    }
    if let Some(last_modified) = &known.last_modified {
        hop = hop.with("if-modified-since", last_modified);
    }
    let verify = session.settings.tls_verify != Some(false);
    let what = format!("give us {url}");
    let answer = session.again_and_again(hop, verify, &what);
    let answer = answer.map_err(|failure: Failure| failure.error)?;
    let is_asked = known.etag.is_some() || known.last_modified.is_some();
    match answer.status.as_u16() {
        200 => begin(answer).map(|file| Download::File(Box::new(file))),
        304 if is_asked => Ok(Download::Unchanged),
        404 | 410 => Err(Error::NotFound {
            registry: answer.url.authority.clone(),
            what: format!("{} ({})", answer.url, status(&answer)),
            said: String::new(),
        }),
        _ => Err(Error::Refused {
            registry: answer.url.authority.clone(),
            what,
            status: status(&answer),
            said: String::new(),
        }),
    }
}

fn status(answer: &Answer) -> String {
    answer.status.to_string().replace(" <unknown status code>", "")
}

fn begin(answer: Answer) -> Result<WebFile> {
    let announced = answer.length();
    if let Some(length) = announced.filter(|length| *length > LARGEST) {
        return Err(Error::broken(
            &answer.url,
            format!("the file has {length} bytes; {LARGEST} are taken at most"),
        ));
    }
    let kept = |name: &str| {
        let text = answer.header(name)?.trim();
        (!text.is_empty() && text.len() <= LONGEST_VALIDATOR).then(|| text.to_owned())
    };
    let validators = Validators {
        etag: kept("etag"),
        last_modified: kept("last-modified"),
    };
    Ok(WebFile {
        modified: validators.last_modified.as_deref().and_then(retry::date),
        validators,
        url: answer.url.clone(),
        announced,
        arrived: 0,
        body: answer.into_body(),
    })
}

impl Read for WebFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self
            .body
            .read(buffer)
            .map_err(|error| io_failure(&self.url, &error).error)?;
        self.arrived += count as u64;
        if self.arrived > LARGEST {
            return Err(Error::broken(&self.url, format!("the file goes on after {LARGEST} bytes")).into());
        }
        if count == 0 && !buffer.is_empty() && self.announced.is_some_and(|length| length > self.arrived) {
            let reason = format!("the connection was lost after {} bytes of {}", self.arrived, self.url);
            return Err(Error::connection(&self.url.authority, reason).into());
        }
        Ok(count)
    }
}
