//! Digests, and the names that are digests: of a layer's tar, of a stack of layers, of an image.
//!
//! Image specification: descriptor.md ("Digests"), config.md ("Layer DiffID", "Layer ChainID", "ImageID").

mod sha256;

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use self::sha256::Sha256;

/// A hash algorithm that a digest may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// `sha256`, the one everybody writes.
    Sha256,
    /// `sha512`, which a reader has to know.
    Sha512,
}

impl Algorithm {
    /// The name before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hexadecimal digits follow the colon.
    pub fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text is no digest, or why bytes don't have the one expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No colon between the algorithm and the digits.
    #[error("digest {0:?} has no algorithm: expected something like sha256:<64 hexadecimal digits>")]
    NoAlgorithm(String),
    /// An algorithm other than sha256 and sha512.
    #[error("digest {digest:?} names the unknown algorithm {algorithm:?}: known are sha256 and sha512")]
    UnknownAlgorithm {
        /// The whole text.
        digest: String,
        /// The part before the colon.
        algorithm: String,
    },
    /// Too few or too many digits.
    #[error("digest {digest:?} has {found} digits after {algorithm}: where {expected} belong")]
    Length {
        /// The whole text.
        digest: String,
        /// The algorithm it names.
        algorithm: Algorithm,
        /// Digits that the algorithm has.
        expected: usize,
        /// Digits (bytes) that are there.
        found: usize,
    },
    /// A character that is no lower-case hexadecimal digit.
    #[error("digest {digest:?} contains {found:?}: only 0-9 and a-f (lower case) belong there")]
    Character {
        /// The whole text.
        digest: String,
        /// The first offender.
        found: char,
    },
    /// The bytes hash to another digest.
    #[error("expected digest {expected}, the content has {found}")]
    Mismatch {
        /// The digest promised.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
}

/// The hash of a blob as it is stored: `sha256:…` or `sha512:…`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    algorithm: Algorithm,
    text: String,
}

impl Digest {
    /// The sha256 digest of some bytes.
    pub fn sha256(bytes: impl AsRef<[u8]>) -> Self {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(bytes.as_ref());
        hasher.finish()
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hexadecimal digits after the colon, lower case.
    pub fn hex(&self) -> &str {
        &self.text[self.algorithm.name().len() + 1..]
    }

    /// The first twelve digits, as lists show them.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }

    /// The whole text, `algorithm:hex`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Checks that `bytes` have this digest.
    ///
    /// # Errors
    /// [`DigestError::Mismatch`] with both digests.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), DigestError> {
        let mut hasher = Hasher::new(self.algorithm);
        hasher.update(bytes);
        self.verify_digest(hasher.finish())
    }

    /// Checks that a digest computed while streaming is this one.
    ///
    /// # Errors
    /// [`DigestError::Mismatch`] with both digests.
    pub fn verify_digest(&self, found: Digest) -> Result<(), DigestError> {
        if *self == found {
            return Ok(());
        }
        Err(DigestError::Mismatch {
            expected: self.clone(),
            found,
        })
    }

    fn from_bytes(algorithm: Algorithm, hash: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(algorithm.name().len() + 1 + algorithm.hex_len());
        text.push_str(algorithm.name());
        text.push(':');
        for byte in hash {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        Self { algorithm, text }
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let Some((name, hex)) = text.split_once(':') else {
            return Err(DigestError::NoAlgorithm(text.to_owned()));
        };
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => {
                return Err(DigestError::UnknownAlgorithm {
                    digest: text.to_owned(),
                    algorithm: name.to_owned(),
                });
            }
        };
        if let Some(found) = hex.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
            return Err(DigestError::Character {
                digest: text.to_owned(),
                found,
            });
        }
        let expected = algorithm.hex_len();
        if hex.len() != expected {
            return Err(DigestError::Length {
                digest: text.to_owned(),
                algorithm,
                expected,
                found: hex.len(),
            });
        }
        Ok(Self {
            algorithm,
            text: text.to_owned(),
        })
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.text
    }
}

impl AsRef<str> for Digest {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The compression function of SHA-256 (FIPS 180-4, 6.2.2) on two streams: takes the blocks of each into its words, as many as
/// the shorter one has. False, and nothing done, where that can't be had.
pub type CompressTwo = fn(words: [&mut [u32; 8]; 2], streams: [&[[u8; 64]]; 2]) -> bool;

/// Computes a digest while bytes stream by; also an [`io::Write`] that never fails.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// A hasher that has seen nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
        })
    }

    /// What it computes.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// Takes the next bytes of two streams, by blocks of both at once where both are sha256 and `together` can do that.
    pub fn update_two((one, its): (&mut Self, &[u8]), (other, others): (&mut Self, &[u8]), together: CompressTwo) {
        if let (State::Sha256(one), State::Sha256(other)) = (&mut one.0, &mut other.0) {
            Sha256::update_two((one, its), (other, others), together);
        } else {
            one.update(its);
            other.update(others);
        }
    }

    /// The digest of all bytes seen.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(state) => Digest::from_bytes(Algorithm::Sha256, &state.finish()),
            State::Sha512(state) => Digest::from_bytes(Algorithm::Sha512, &state.finalize()),
        }
    }

    /// The same as bytes, for who computes very many: 32 of them, or 64.
    pub fn finish_bytes(self) -> Vec<u8> {
        match self.0 {
            State::Sha256(state) => state.finish().to_vec(),
            State::Sha512(state) => state.finalize().to_vec(),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Sha256(_) => "Hasher(sha256)",
            State::Sha512(_) => "Hasher(sha512)",
        })
    }
}

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A digest with a meaning of its own, so that one can't stand where another belongs.
macro_rules! named_digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Digest);

        impl $name {
            /// The digest itself.
            pub fn digest(&self) -> &Digest {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                text.parse().map(Self)
            }
        }
    };
}

named_digest! {
    /// The hash of a layer's uncompressed tar (image-spec, config.md, "Layer DiffID").
    DiffId
}
named_digest! {
    /// The identity of a stack of layers (image-spec, config.md, "Layer ChainID").
    ChainId
}
named_digest! {
    /// The hash of the image configuration's bytes (image-spec, config.md, "ImageID"); not the manifest's digest.
    ImageId
}

impl ChainId {
    /// The identity of a stack of layers, base first; `None` for an empty stack.
    pub fn of(layers: &[DiffId]) -> Option<Self> {
        let (base, rest) = layers.split_first()?;
        Some(rest.iter().fold(Self(base.0.clone()), |stack, layer| stack.with(layer)))
    }

    /// The identity of this stack with one more layer on top.
    #[must_use]
    pub fn with(&self, layer: &DiffId) -> Self {
        Self(Digest::sha256(format!("{self} {layer}")))
    }
}

impl ImageId {
    /// The identity of the image whose configuration has these bytes.
    pub fn of(config: &[u8]) -> Self {
        Self(Digest::sha256(config))
    }
}

#[cfg(test)]
mod tests;
