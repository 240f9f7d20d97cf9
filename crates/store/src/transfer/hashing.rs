//! Hashes the streams that are under way, two at a time: that takes half as long as one after the other
//! ([`wiac_sys::sha256`]).
//!
//! Nobody is there for the hashing alone. Whoever has a piece of a stream looks for another stream's piece that waits for a
//! partner, and hashes both; else its own is left waiting, and a few of them are as many as may.

use super::pipe::Piece;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use wiac_oci::digest::{Algorithm, Digest, Hasher};
use wiac_sys::sha256::compress_two;

/// So many pieces of a stream may wait for another's.
const WAITING: usize = 4;

/// Streams that can be hashed together.
#[derive(Default)]
pub(super) struct Hashing {
    streams: Mutex<Streams>,
    /// A hasher is back.
    changed: Condvar,
}

#[derive(Default)]
struct Streams {
    /// By their numbers: those that haven't ended.
    open: BTreeMap<usize, Stream>,
    next: usize,
}

struct Stream {
    /// `None` while a thread is at it.
    hasher: Option<Hasher>,
    waiting: VecDeque<Rest>,
}

/// What is still to be hashed of a piece.
struct Rest {
    piece: Arc<Piece>,
    from: usize,
}

/// A hasher and its next bytes, taken out of the streams.
struct Taken {
    number: usize,
    hasher: Hasher,
    rest: Rest,
}

/// One of the streams. Dropped before its end, it is forgotten.
pub(super) struct HashedStream {
    hashing: Arc<Hashing>,
    number: usize,
}

impl Hashing {
    /// A further stream.
    pub(super) fn stream(self: &Arc<Self>, algorithm: Algorithm) -> HashedStream {
        let mut streams = self.lock();
        let number = streams.next;
        streams.next += 1;
        let stream = Stream {
            hasher: Some(Hasher::new(algorithm)),
            waiting: VecDeque::new(),
        };
        streams.open.insert(number, stream);
        HashedStream {
            hashing: Arc::clone(self),
            number,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hashes pieces of a stream until at most `most` of them wait, or somebody else is at them; more, as long as there are
    /// partners.
    fn work(&self, number: usize, most: usize) {
        let mut streams = self.lock();
        while let Some(own) = streams.open.get(&number) {
            let is_enough = own.waiting.len() <= most;
            if own.hasher.is_none() && !is_enough {
                streams = self.wait(streams);
                continue;
            }
            let partner = streams.partner(number);
            if own.hasher.is_none() || own.waiting.is_empty() || (is_enough && partner.is_none()) {
                return;
            }
            let mut taken: Vec<Taken> = [Some(number), partner]
                .into_iter()
                .flatten()
                .filter_map(|number| streams.take(number))
                .collect();
            drop(streams);
            hash(&mut taken);
            streams = self.lock();
            for taken in taken {
                streams.put_back(taken);
            }
            self.changed.notify_all();
        }
    }

    fn wait<'s>(&self, streams: MutexGuard<'s, Streams>) -> MutexGuard<'s, Streams> {
        self.changed.wait(streams).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    /// The other stream that has most to be hashed, and nobody at it.
    fn partner(&self, number: usize) -> Option<usize> {
        let others = self
            .open
            .iter()
            .filter(|(other, stream)| **other != number && stream.hasher.is_some() && !stream.waiting.is_empty());
        others
            .max_by_key(|(_, stream)| stream.waiting.len())
            .map(|(other, _)| *other)
    }

    fn take(&mut self, number: usize) -> Option<Taken> {
        let stream = self.open.get_mut(&number)?;
        let (hasher, rest) = (stream.hasher.take()?, stream.waiting.pop_front()?);
        Some(Taken { number, hasher, rest })
    }

    /// What was taken, unless its stream is forgotten.
    fn put_back(&mut self, taken: Taken) {
        if let Some(stream) = self.open.get_mut(&taken.number) {
            stream.hasher = Some(taken.hasher);
            if !taken.rest.bytes().is_empty() {
                stream.waiting.push_front(taken.rest);
            }
        }
    }
}

impl Rest {
    fn bytes(&self) -> &[u8] {
        &self.piece.bytes()[self.from..]
    }
}

/// Hashes as much as both have, or all of one alone.
fn hash(taken: &mut [Taken]) {
    let length = taken.iter().map(|taken| taken.rest.bytes().len()).min().unwrap_or(0);
    if let [one, other] = taken {
        Hasher::update_two(
            (&mut one.hasher, &one.rest.bytes()[..length]),
            (&mut other.hasher, &other.rest.bytes()[..length]),
            compress_two,
        );
    } else {
        for one in &mut *taken {
            one.hasher.update(one.rest.bytes());
        }
    }
    for one in taken {
        one.rest.from += length;
    }
}

impl HashedStream {
    /// Takes the next piece, which is hashed by and by.
    pub(super) fn update(&self, piece: &Arc<Piece>) {
        if let Some(own) = self.hashing.lock().open.get_mut(&self.number) {
            let piece = Arc::clone(piece);
            own.waiting.push_back(Rest { piece, from: 0 });
        }
        self.hashing.work(self.number, WAITING);
    }

    /// The digest of all pieces.
    pub(super) fn finish(self) -> Digest {
        loop {
            self.hashing.work(self.number, 0);
            let mut streams = self.hashing.lock();
            if let Some(own) = streams.open.get_mut(&self.number) {
                if let Some(hasher) = own.hasher.take_if(|_| own.waiting.is_empty()) {
                    return hasher.finish();
                }
                // Somebody who was at the last piece has brought back the rest of it.
                if own.hasher.is_some() {
                    continue;
                }
            }
            drop(self.hashing.wait(streams));
        }
    }
}

impl Drop for HashedStream {
    fn drop(&mut self) {
        self.hashing.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four streams of very different lengths, each told by a thread of its own, in pieces of any size.
    #[test]
    fn each_stream_gets_its_own_digest() {
        let hashing = Arc::new(Hashing::default());
        let algorithms = [
            Algorithm::Sha256,
            Algorithm::Sha256,
            Algorithm::Sha512,
            Algorithm::Sha256,
        ];
        std::thread::scope(|scope| {
            for (number, algorithm) in algorithms.into_iter().enumerate() {
                let stream = hashing.stream(algorithm);
                scope.spawn(move || {
                    let mut expected = Hasher::new(algorithm);
                    for piece in 0..100 * number {
                        let length = (piece * 7919 + number) % 10_000;
                        let bytes = vec![u8::try_from(piece % 256).expect("a byte"); length];
                        expected.update(&bytes);
                        stream.update(&Arc::new(Piece::of(bytes)));
                    }
                    assert_eq!(stream.finish(), expected.finish(), "stream {number}");
                });
            }
        });
        assert!(hashing.lock().open.is_empty());
    }

    #[test]
    fn a_forgotten_stream_holds_nobody_up() {
        let hashing = Arc::new(Hashing::default());
        let (kept, forgotten) = (hashing.stream(Algorithm::Sha256), hashing.stream(Algorithm::Sha256));
        forgotten.update(&Arc::new(Piece::of(vec![1; 10])));
        drop(forgotten);
        kept.update(&Arc::new(Piece::of(b"abc".to_vec())));
        assert_eq!(kept.finish(), Digest::sha256("abc"));
    }
}
