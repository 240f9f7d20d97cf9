//! Cache keys: what makes a step the same step. Nothing of the machine goes in.

use wiac_oci::digest::{Algorithm, Hasher};

/// The version of the way keys are made: a change of it forgets every cached step.
const VERSION: &str = "wiac step 4";

/// A key being put together. Every part is framed by its length, so that no two lists of parts give the same key.
pub(crate) struct KeyMaker {
    hash: Hasher,
}

impl KeyMaker {
    /// A key of this kind of step.
    pub(crate) fn new(kind: &str) -> Self {
        let mut maker = Self {
            hash: Hasher::new(Algorithm::Sha256),
        };
        maker.add(VERSION);
        maker.add(kind);
        maker
    }

    /// Adds one part.
    pub(crate) fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.hash.update(&(part.len() as u64).to_le_bytes());
        self.hash.update(part);
    }

    /// Adds a list, framed by its length.
    pub(crate) fn add_all<P: AsRef<[u8]>>(&mut self, parts: &[P]) {
        self.add((parts.len() as u64).to_le_bytes());
        for part in parts {
            self.add(part);
        }
    }

    /// The key, in hexadecimal.
    pub(crate) fn finish(self) -> String {
        self.hash.finish().hex().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_don_t_run_together() {
        let key = |parts: &[&str]| {
            let mut maker = KeyMaker::new("test");
            for part in parts {
                maker.add(part);
            }
            maker.finish()
        };
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["ab"]), key(&["ab", ""]));
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
    }
}
