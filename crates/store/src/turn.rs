//! Who carries a step of a build out: one among all builds, the others wait and then find its layer.

use crate::data::Store;
use crate::error::Result;
use crate::lock::Lock;
use std::fs;
use std::path::PathBuf;

/// The right to carry out one step. Dropping it lets the next one have it; so does the end of the process.
#[derive(Debug)]
pub struct Turn {
    path: PathBuf,
    // Dropped after the file is gone: who opened it before sees that what it locks then stands nowhere.
    _lock: Lock,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // A file that stays is swept with everything else in `tmp/`.
        let _ = fs::remove_file(&self.path);
    }
}

impl Store {
    /// The right to carry out the step `key` (hexadecimal); `None` where somebody else has it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn try_turn(&self, key: &str) -> Result<Option<Turn>> {
        let path = self.path("tmp").join(format!("step-{key}"));
        loop {
            let Some(lock) = Lock::try_exclusive_file(&path)? else {
                return Ok(None);
            };
            // Whoever had it before, or a sweeper, may have deleted the file since it was opened.
            if lock.is_somewhere(&path)? {
                return Ok(Some(Turn { path, _lock: lock }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use wiac_layer::Form;

    #[test]
    fn one_alone_has_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let turn = store.try_turn("ab").expect("asked").expect("free");
        assert!(store.try_turn("ab").expect("asked").is_none());
        assert!(store.try_turn("cd").expect("asked").is_some());
        drop(turn);
        assert!(store.try_turn("ab").expect("asked").is_some());
        let left = fs::read_dir(store.path("tmp")).expect("read").count();
        assert_eq!(left, 0);
    }

    #[test]
    fn threads_exclude_each_other() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut had = 0;
                    while had < 200 {
                        let Some(_turn) = store.try_turn("ab").expect("asked") else {
                            continue;
                        };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two have it");
                        had += 1;
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
    }
}
