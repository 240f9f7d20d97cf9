//! Blobs to a registry: in one piece where small, else in a stream that goes on where a lost connection left it.
//!
//! distribution-spec 1.1, "Pushing blobs".

use crate::blob::exists;
use crate::config::Endpoint;
use crate::error::{Error, Result, cause};
use crate::http::{Answer, Failure, Payload, Url};
use crate::manifest::pull_scope;
use crate::session::{Hop, Session, Tries};
use std::io::{self, Read};
use std::ops::Range;
use std::time::Duration;
use ureq::http::Method;
use wiac_oci::digest::Digest;
use wiac_oci::manifest::Descriptor;

/// Up to this size a blob goes out with the request that ends its upload: one round trip less.
const SMALL: u64 = 1 << 20;

/// Where a registry (or what stands before it) takes no large parts: from here, halved down to there.
const LARGEST_PART: u64 = 64 << 20;
const SMALLEST_PART: u64 = 4 << 20;

/// So many more bytes that the registry has are progress, after which the tries count from the beginning.
const PROGRESS: u64 = 32 << 10;

/// A registry may read the whole blob again before it says that it has it.
const COMMIT: Duration = Duration::from_mins(15);

/// Opens the bytes to send, from an offset on; asked again after a lost connection.
pub type Source<'s> = dyn Fn(u64) -> io::Result<Box<dyn Read + 's>> + 's;

/// The scope that lets one write to a repository.
pub(crate) fn push_scope(repository: &str) -> String {
    format!("repository:{repository}:pull,push")
}

/// Sends a blob. `progress` hears how many bytes are on their way; the number goes back after a lost connection.
pub(crate) fn upload(
    session: &Session,
    endpoint: &Endpoint,
    descriptor: &Descriptor,
    source: &Source,
    progress: &dyn Fn(u64),
) -> Result<()> {
    let mut upload = Upload {
        session,
        endpoint,
        descriptor,
        source,
        progress,
        scopes: vec![push_scope(&endpoint.repository)],
        what: format!("upload blob {}", descriptor.digest.short()),
        best: 0,
        has_ended: false,
        is_careful: false,
        in_one_piece: descriptor.size <= SMALL,
        most: u64::MAX,
        has_shrunk: false,
    };
    let mut tries = Tries::new(&session.settings);
    // Where the upload goes on; none before it has begun.
    let mut place = None;
    loop {
        let before = upload.best;
        let failure = match upload.advance(&mut place) {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        if !failure.again {
            return Err(failure.error);
        }
        if std::mem::take(&mut upload.has_shrunk) {
            continue;
        }
        if upload.best >= before + PROGRESS {
            tries.start_over();
        }
        if !tries.pause_after_loss() {
            return Err(tries.lost(failure.error));
        }
        // The end of an upload may have got lost on its way back.
        if upload.has_ended && exists(session, endpoint, descriptor, &upload.scopes).unwrap_or(false) {
            return Ok(());
        }
        upload.is_careful = true;
    }
}

/// Where an upload goes on.
struct State {
    location: Url,
    /// Bytes the registry has, where it says so.
    offset: Option<u64>,
}

struct Upload<'u, 's> {
    session: &'u Session,
    endpoint: &'u Endpoint,
    descriptor: &'u Descriptor,
    source: &'u Source<'s>,
    progress: &'u dyn Fn(u64),
    scopes: Vec<String>,
    what: String,
    /// The most bytes that the registry ever said it had.
    best: u64,
    /// The registry was told that this is all.
    has_ended: bool,
    /// After a loss the registry is asked before the bytes go out: its no gets lost where we are still sending.
    is_careful: bool,
    /// The registry takes no parts: everything goes out with the end.
    in_one_piece: bool,
    /// The most bytes that go out at once: less after "too large", as proxies before registries say it.
    most: u64,
    /// They have just become less: no reason to wait.
    has_shrunk: bool,
}

impl Upload<'_, '_> {
    /// Goes on until the blob is there, or something fails; `place` says where to go on then.
    fn advance(&mut self, place: &mut Option<Url>) -> Result<(), Failure> {
        let mut at = match place.take() {
            Some(location) => self.ask_offset(&location)?,
            None => self.begin()?,
        };
        let size = self.descriptor.size;
        let mut offset = at.offset.unwrap_or(0);
        if offset > size {
            // More than there is: not our upload any more.
            return Err(Failure::lost(self.broken("it has more of the upload than was sent")));
        }
        while offset < size && !(offset == 0 && self.in_one_piece) {
            *place = Some(at.location.clone());
            at = self.send_rest(&at.location, offset)?;
            let taken = at.offset.unwrap_or(0);
            if taken <= offset || taken > size {
                *place = None;
                return Err(Failure::lost(self.broken("it takes none of the bytes that are sent")));
            }
            offset = taken;
            self.best = self.best.max(offset);
            (self.progress)(offset);
        }
        *place = Some(at.location.clone());
        self.end(&at.location, offset)
    }

    fn begin(&self) -> Result<State, Failure> {
        let https = self.session.https(self.endpoint)?;
        let url = self.endpoint.url(https, "blobs/uploads/");
        let answer = self.ask(Hop::new(Method::POST, url).carrying(Payload::Bytes(b"")))?;
        if answer.status.as_u16() != 202 {
            return Err(self.refused(answer));
        }
        Ok(State {
            location: location(&answer, None)?,
            offset: Some(0),
        })
    }

    /// Asks how much of the upload has arrived; an upload that is forgotten begins again.
    fn ask_offset(&mut self, old: &Url) -> Result<State, Failure> {
        let answer = self.ask(Hop::new(Method::GET, old.clone()))?;
        match answer.status.as_u16() {
            200 | 202 | 204 => Ok(State {
                location: location(&answer, Some(old))?,
                offset: Some(range_end(&answer).unwrap_or(0)),
            }),
            400 | 404 | 410 | 416 => self.begin(),
            _ => Err(self.refused(answer)),
        }
    }

    /// Sends what is missing, or as much of it as the registry takes at once.
    fn send_rest(&mut self, location: &Url, offset: u64) -> Result<State, Failure> {
        let end = self.descriptor.size.min(offset.saturating_add(self.most));
        let mut hop = Hop::new(Method::PATCH, location.clone())
            .with("content-type", "application/octet-stream")
            .with("content-range", format!("{offset}-{}", end - 1));
        if self.is_careful {
            hop = hop.with("expect", "100-continue");
        }
        let answer = self.stream(hop, offset..end)?;
        match answer.status.as_u16() {
            // 201: some say "created" already here.
            201 | 202 | 204 => Ok(State {
                location: self::location(&answer, Some(location))?,
                // One more than there was: some say the end in the other way. The digest tells at the end.
                offset: Some(range_end(&answer).filter(|taken| *taken != end + 1).unwrap_or(end)),
            }),
            405 | 501 if offset == 0 => {
                self.in_one_piece = true;
                Err(Failure::lost(self.refused(answer).error))
            }
            413 if end - offset > SMALLEST_PART => {
                self.most = ((end - offset) / 2).clamp(SMALLEST_PART, LARGEST_PART);
                self.has_shrunk = true;
                Err(Failure::lost(self.refused(answer).error))
            }
            // Out of step with the registry, or forgotten by it: asked for the offset, begun again if need be.
            404 | 416 => {
                let said = answer.explanation();
                Err(Failure::lost(
                    self.broken(&format!("it lost track of the upload ({said})")),
                ))
            }
            408 | 429 | 500..=599 => {
                let Failure { error, .. } = self.refused(answer);
                Err(Failure::lost(error))
            }
            _ => Err(self.refused(answer)),
        }
    }

    /// Ends the upload, with the bytes of a small blob.
    fn end(&mut self, location: &Url, offset: u64) -> Result<(), Failure> {
        let url = location.clone().with_query("digest", self.descriptor.digest.as_str());
        let mut hop = Hop::new(Method::PUT, url).with("content-type", "application/octet-stream");
        hop.wait = Some(COMMIT);
        self.has_ended = true;
        let answer = if offset < self.descriptor.size {
            self.stream(hop, offset..self.descriptor.size)?
        } else {
            self.ask(hop.carrying(Payload::Bytes(b"")))?
        };
        match answer.status.as_u16() {
            200 | 201 | 204 => {
                (self.progress)(self.descriptor.size);
                Ok(())
            }
            404 | 408 | 429 | 500..=599 => {
                let Failure { error, .. } = self.refused(answer);
                Err(Failure::lost(error))
            }
            _ => Err(self.refused(answer)),
        }
    }

    /// Sends a part of the source's bytes.
    fn stream(&self, hop: Hop<'static>, part: Range<u64>) -> Result<Answer, Failure> {
        let (offset, left) = (part.start, part.end - part.start);
        let unreadable = |reason: String| {
            Failure::fatal(Error::Source {
                what: format!("blob {}", self.descriptor.digest.short()),
                reason,
            })
        };
        let inner = (self.source)(offset).map_err(|error| unreadable(cause(&error)))?;
        let mut watched = Watched {
            inner,
            left,
            at: offset,
            progress: self.progress,
            trouble: None,
        };
        let hop = hop.carrying(Payload::Stream(left, &mut watched));
        let result = self.session.ask(self.endpoint, hop, &self.scopes, &self.what);
        match watched.trouble.take() {
            Some(reason) => Err(unreadable(reason)),
            None => result,
        }
    }

    fn ask(&self, hop: Hop) -> Result<Answer, Failure> {
        self.session.ask(self.endpoint, hop, &self.scopes, &self.what)
    }

    fn refused(&self, answer: Answer) -> Failure {
        let registry = self.endpoint.registry.clone();
        Failure::fatal(crate::session::refused(registry, &self.what, answer))
    }

    fn broken(&self, reason: &str) -> Error {
        Error::broken(&self.endpoint.registry, reason)
    }
}

/// The source's bytes, counted: exactly as many as the descriptor says.
struct Watched<'w> {
    inner: Box<dyn Read + 'w>,
    left: u64,
    at: u64,
    progress: &'w dyn Fn(u64),
    /// What is wrong with the source, as opposed to the network.
    trouble: Option<String>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most == 0 {
            return Ok(0);
        }
        let count = match self.inner.read(&mut buffer[..most]) {
            Ok(0) => {
                self.trouble = Some(format!("it ends after {} bytes", self.at));
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(count) => count,
            Err(error) => {
                self.trouble = Some(cause(&error));
                return Err(error);
            }
        };
        self.left -= count as u64;
        self.at += count as u64;
        (self.progress)(self.at);
        Ok(count)
    }
}

/// Where an upload goes on: what the answer says, else where it was. Never from HTTPS to plain HTTP.
fn location(answer: &Answer, old: Option<&Url>) -> Result<Url, Failure> {
    let wrong = |reason: String| Failure::fatal(Error::broken(&answer.url, reason));
    let Some(text) = answer.header("location") else {
        let missing = || wrong("it doesn't say where the upload goes on".to_owned());
        return old.cloned().ok_or_else(missing);
    };
    let next = answer
        .url
        .join(text)
        .map_err(|reason| wrong(format!("it sends the upload to a wrong address: {reason}")))?;
    if answer.url.https && !next.https {
        return Err(wrong(format!(
            "it sends the upload to plain HTTP ({next}): it may stand behind a proxy and not know its own address"
        )));
    }
    Ok(next)
}

/// How many bytes the registry has: one more than the end of `Range: 0-9`. `0-0` means none, as distribution puts it.
fn range_end(answer: &Answer) -> Option<u64> {
    let text = answer.header("range")?.trim();
    let text = text.strip_prefix("bytes=").unwrap_or(text);
    let end: u64 = text.split_once('-')?.1.trim().parse().ok()?;
    Some(if end == 0 { 0 } else { end.checked_add(1)? })
}

/// Makes a blob of another repository of the same registry one of this. False where the registry doesn't do that, or
/// doesn't have it.
pub(crate) fn mount(session: &Session, endpoint: &Endpoint, from: &str, digest: &Digest) -> Result<bool> {
    let ask = || {
        let https = session.https(endpoint)?;
        let url = endpoint
            .url(https, "blobs/uploads/")
            .with_query("mount", digest.as_str())
            .with_query("from", from);
        let scopes = [push_scope(&endpoint.repository), pull_scope(from)];
        let what = format!("mount blob {} from {from}", digest.short());
        let hop = Hop::new(Method::POST, url).carrying(Payload::Bytes(b""));
        let answer = session.ask(endpoint, hop, &scopes, &what)?;
        match answer.status.as_u16() {
            201 => Ok(true),
            202 => {
                // An upload was begun instead: given back. That it isn't is no trouble of ours.
                if let Ok(location) = location(&answer, None) {
                    let _ = session.ask(endpoint, Hop::new(Method::DELETE, location), &scopes, &what);
                }
                Ok(false)
            }
            // Registries that know no mounting, or let us not read the other repository.
            400 | 403 | 404 | 405 => Ok(false),
            _ => Err(Failure::fatal(crate::session::refused(
                endpoint.registry.clone(),
                &what,
                answer,
            ))),
        }
    };
    ask().map_err(|failure: Failure| failure.error)
}
