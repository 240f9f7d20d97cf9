//! Blobs as streams that go on by themselves after a lost connection.

use crate::config::{Endpoint, Purpose};
use crate::error::{Error, Result};
use crate::http::{Answer, Failure, PatientBody, Url, io_failure};
use crate::manifest::pull_scope;
use crate::session::{Hop, Session, Tries};
use std::io::{self, Read};
use std::sync::Arc;
use ureq::http::Method;
use wiac_oci::manifest::Descriptor;
use wiac_oci::reference::Reference;

/// So many bytes since the last loss are progress, after which the tries count from the beginning.
const PROGRESS: u64 = 32 << 10;

/// Where a blob can be had.
#[derive(Debug, Clone)]
enum Place {
    /// In a repository.
    Repository(Endpoint),
    /// At an address of its descriptor: a foreign layer (image-spec, descriptor.md, "urls").
    Address(Url),
}

/// A blob's bytes. Exactly as many come as the descriptor says, or an error; their digest is the reader's to compare.
pub struct Blob {
    session: Arc<Session>,
    descriptor: Descriptor,
    places: Vec<Place>,
    /// Which place is read from.
    current: usize,
    at: u64,
    body: Option<PatientBody>,
    url: Option<Url>,
    has_length: bool,
    tries_done: u32,
    since_loss: u64,
    received: u64,
}

impl Blob {
    /// Opens a blob, from an offset on.
    pub(crate) fn open(
        session: &Arc<Session>,
        reference: &Reference,
        descriptor: &Descriptor,
        from: u64,
    ) -> Result<Self> {
        let mut places: Vec<_> = session
            .config
            .endpoints(reference, Purpose::Pull)?
            .into_iter()
            .map(Place::Repository)
            .collect();
        let addresses = descriptor.urls.iter().filter_map(|text| Url::parse(text).ok());
        // Anybody may write an address into a manifest: plain HTTP only where it is allowed for that host.
        let allowed = addresses.filter(|url| url.https || session.config.allows_plain(&url.authority));
        places.extend(allowed.map(Place::Address));
        let mut blob = Self {
            session: session.clone(),
            descriptor: descriptor.clone(),
            places,
            current: 0,
            at: from.min(descriptor.size),
            body: None,
            url: None,
            has_length: false,
            tries_done: 0,
            since_loss: 0,
            received: 0,
        };
        if blob.at < descriptor.size {
            blob.connect()?;
        }
        Ok(blob)
    }

    /// How many bytes came over the network: more than were read where a registry ignores ranges.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Connects to the first place that has the blob, and gets to the offset.
    fn connect(&mut self) -> Result<()> {
        let mut first = None;
        for step in 0..self.places.len() {
            let index = (self.current + step) % self.places.len();
            match self.connect_to(index) {
                Ok(()) => {
                    self.current = index;
                    return Ok(());
                }
                Err(failure) => {
                    // The registry itself explains best what is wrong.
                    let is_own = matches!(&self.places[index], Place::Repository(endpoint) if !endpoint.is_mirror);
                    if is_own || first.is_none() {
                        first = Some(failure.error);
                    }
                }
            }
        }
        Err(first.unwrap_or_else(|| Error::Name("there is nowhere to ask for the blob".to_owned())))
    }

    fn connect_to(&mut self, index: usize) -> Result<(), Failure> {
        let mut answer = self.ask(index, self.at)?;
        if answer.status.as_u16() == 416 && self.at > 0 {
            // Some that have the blob give no parts of it: then it is read past what we have.
            answer = self.ask(index, 0)?;
        }
        let registry = match &self.places[index] {
            Place::Repository(endpoint) => endpoint.registry.clone(),
            Place::Address(url) => url.authority.clone(),
        };
        self.begin(answer, registry)
    }

    fn hop(&self, url: Url, from: u64) -> Hop<'static> {
        let hop = Hop::new(Method::GET, url);
        if from == 0 {
            return hop;
        }
        hop.with("range", format!("bytes={from}-{}", self.descriptor.size - 1))
    }

    /// Asks a place for the bytes from an offset on.
    fn ask(&self, index: usize, from: u64) -> Result<Answer, Failure> {
        match &self.places[index] {
            Place::Repository(endpoint) => {
                let https = self.session.https(endpoint)?;
                let url = endpoint.url(https, &format!("blobs/{}", self.descriptor.digest));
                let scope = pull_scope(&endpoint.repository);
                self.session.ask(endpoint, self.hop(url, from), &[scope], &self.what())
            }
            Place::Address(url) => {
                let hop = self.hop(url.clone(), from);
                self.session.again_and_again(hop, true, &self.what())
            }
        }
    }

    fn what(&self) -> String {
        format!("get blob {}", self.descriptor.digest.short())
    }

    /// Takes an answer's body, from our offset on.
    fn begin(&mut self, answer: Answer, registry: String) -> Result<(), Failure> {
        let size = self.descriptor.size;
        let damaged = |reason: String| Error::Damaged {
            registry: registry.clone(),
            what: format!("blob {}", self.descriptor.digest.short()),
            reason,
        };
        let start = match answer.status.as_u16() {
            200 => 0,
            206 => range_start(&answer).map_err(|reason| Error::broken(&answer.url, reason))?,
            404 => {
                return Err(Failure::fatal(Error::NotFound {
                    registry,
                    what: format!("blob {}", self.descriptor.digest),
                    said: answer.explanation(),
                }));
            }
            416 => return Err(damaged(format!("it has no byte {}, but should have {size}", self.at)).into()),
            _ => return Err(Failure::fatal(crate::session::refused(registry, &self.what(), answer))),
        };
        if start > self.at {
            let reason = format!("asked for byte {}, it begins with byte {start}", self.at);
            return Err(Error::broken(&answer.url, reason).into());
        }
        let length = answer.length();
        if let Some(length) = length
            && start.saturating_add(length) != size
        {
            return Err(damaged(format!(
                "it has {} bytes, but should have {size}",
                start.saturating_add(length)
            ))
            .into());
        }
        self.has_length = length.is_some();
        let url = answer.url.clone();
        let mut body = answer.into_body();
        // A registry that ignores ranges sends again what we have: read past it.
        let skipped = io::copy(&mut (&mut body).take(self.at - start), &mut io::sink());
        let skipped = skipped.map_err(|error| io_failure(&url, &error))?;
        self.received += skipped;
        if start + skipped < self.at {
            return Err(Failure::lost(Error::connection(
                &url.authority,
                "the blob ended too early",
            )));
        }
        self.body = Some(body);
        self.url = Some(url);
        Ok(())
    }

    /// What to do after a loss: connect again, or give up with the error that counts.
    fn recover(&mut self, failure: Failure) -> Result<()> {
        self.body = None;
        if self.session.settings.ending.is_ended() {
            return Err(Error::Ended);
        }
        if !failure.again {
            return Err(failure.error);
        }
        let session = self.session.clone();
        let mut tries = Tries::resume(&session.settings, self.tries_done);
        if self.since_loss >= PROGRESS {
            tries.start_over();
        }
        self.since_loss = 0;
        let goes_on = tries.pause_after_loss();
        self.tries_done = tries.done();
        if !goes_on {
            return Err(self.with_position(tries.lost(failure.error)));
        }
        // Another mirror may do better.
        self.current = (self.current + 1) % self.places.len();
        self.connect().map_err(|error| self.with_position(error))
    }

    /// How far it came, added to the words for a lost connection.
    fn with_position(&self, error: Error) -> Error {
        let Error::Connection { address, reason } = error else {
            return error;
        };
        let (at, size, blob) = (self.at, self.descriptor.size, self.descriptor.digest.short());
        Error::connection(address, format!("{reason}, after {at} of {size} bytes of blob {blob}"))
    }

    /// After the last byte: nothing may follow. It also lets the connection be used again.
    fn finish(&mut self) -> io::Result<()> {
        let Some(mut body) = self.body.take() else {
            return Ok(());
        };
        let mut one = [0];
        // Whatever else goes wrong now doesn't concern the bytes that came.
        if !self.has_length && body.read(&mut one).is_ok_and(|count| count > 0) {
            return Err(Error::Damaged {
                registry: self.url.as_ref().map_or_else(String::new, |url| url.authority.clone()),
                what: format!("blob {}", self.descriptor.digest.short()),
                reason: format!("it has more than the {} bytes it should have", self.descriptor.size),
            }
            .into());
        }
        if self.has_length {
            let _ = body.read(&mut one);
        }
        Ok(())
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.descriptor.size - self.at;
        if left == 0 || buffer.is_empty() {
            self.finish()?;
            return Ok(0);
        }
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        loop {
            let result = match &mut self.body {
                Some(body) => body.read(&mut buffer[..most]),
                None => Err(io::ErrorKind::UnexpectedEof.into()),
            };
            let failure = match result {
                Ok(0) => self.lost(&io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.at += count as u64;
                    self.received += count as u64;
                    self.since_loss += count as u64;
                    if self.at == self.descriptor.size {
                        self.finish()?;
                    }
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    // A drip is no progress, however long it goes on.
                    if error.kind() == io::ErrorKind::TimedOut {
                        self.since_loss = 0;
                    }
                    self.lost(&error)
                }
            };
            self.recover(failure)?;
        }
    }
}

impl Blob {
    fn lost(&self, error: &io::Error) -> Failure {
        match &self.url {
            Some(url) => io_failure(url, error),
            None => Failure::lost(Error::connection("the registry", "the connection was lost")),
        }
    }
}

/// The first byte of `Content-Range: bytes 5-9/10`.
fn range_start(answer: &Answer) -> Result<u64, String> {
    let text = answer.header("content-range").unwrap_or_default();
    let range = text.trim().strip_prefix("bytes").map(str::trim_start);
    let start = range.and_then(|range| range.split_once('-')?.0.trim().parse().ok());
    start.ok_or_else(|| "it sends a part of the blob without saying which".to_owned())
}

/// True where the repository has a blob of this digest and, where it says so, size.
pub(crate) fn exists(
    session: &Session,
    endpoint: &Endpoint,
    descriptor: &Descriptor,
    scopes: &[String],
) -> Result<bool> {
    let ask = || {
        let https = session.https(endpoint)?;
        let url = endpoint.url(https, &format!("blobs/{}", descriptor.digest));
        let what = format!("look for blob {}", descriptor.digest.short());
        let answer = session.ask(endpoint, Hop::new(Method::HEAD, url), scopes, &what)?;
        match answer.status.as_u16() {
            200 => Ok(answer.length().is_none_or(|length| length == descriptor.size)),
            404 => Ok(false),
            _ => Err(Failure::fatal(crate::session::refused(
                endpoint.registry.clone(),
                &what,
                answer,
            ))),
        }
    };
    ask().map_err(|failure: Failure| failure.error)
}
