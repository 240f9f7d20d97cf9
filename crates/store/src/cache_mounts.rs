//! Cache mounts of builds: directories that outlive them, `cache/mounts/<key>/<number>`, used under a lock each.

use crate::collect::is_gone;
use crate::data::Store;
use crate::error::{Error, IoExt, Result};
use crate::lock::Lock;
use crate::temporary::Temporary;
use crate::usage::contents_size;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A directory of a cache mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMount {
    /// What it is called: its key and number, `3f2a…/0`.
    pub key: String,
    /// The id in the Dockerfile, or the target it is named after.
    pub id: String,
    /// Where it is.
    pub directory: PathBuf,
    /// The bytes of its files.
    pub size: u64,
    /// When something was last made or deleted at its top.
    pub modified: Option<SystemTime>,
}

/// The file beside the directories of a key that says what they are.
const DESCRIPTION: &str = "mount.json";

/// What a build writes down of one.
#[derive(Deserialize)]
struct Description {
    id: String,
}

impl Store {
    /// All directories of cache mounts, by id.
    ///
    /// # Errors
    /// What can't be read.
    pub fn cache_mounts(&self) -> Result<Vec<CacheMount>> {
        let mut mounts = Vec::new();
        for top in entries(&self.path("cache/mounts"))? {
            let description = fs::read(top.join(DESCRIPTION)).ok();
            let description: Option<Description> = description.and_then(|text| serde_json::from_slice(&text).ok());
            let id = description.map_or_else(|| "?".to_owned(), |description| description.id);
            for directory in entries(&top)?.into_iter().filter(|path| path.is_dir()) {
                mounts.push(CacheMount {
                    key: format!("{}/{}", name(&top), name(&directory)),
                    id: id.clone(),
                    size: contents_size(&directory)?,
                    modified: directory.metadata().and_then(|meta| meta.modified()).ok(),
                    directory,
                });
            }
        }
        mounts.sort_by(|a, b| (&a.id, &a.key).cmp(&(&b.id, &b.key)));
        Ok(mounts)
    }

    /// The directory of the cache mounts of a key, made where it is missing, with its description: whole, or not there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn cache_mount_top(&self, key: &str, description: &str) -> Result<PathBuf> {
        let top = self.path("cache/mounts").join(key);
        let path = top.join(DESCRIPTION);
        loop {
            fs::create_dir_all(&top).on("create", &top)?;
            if path.exists() {
                return Ok(top);
            }
            match self.write_whole(&path, format!("{description}\n").as_bytes()) {
                // Deleted just now, since there was none of the key any more.
                Err(error) if is_gone(&error) => {}
                result => return result.map(|()| top),
            }
        }
    }

    /// Deletes one; one that is gone already is no error. `false` where a build uses it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove_cache_mount(&self, mount: &CacheMount) -> Result<bool> {
        let alone = match Lock::try_exclusive(&mount.directory) {
            Err(error) if is_gone(&error) => return Ok(true),
            result => result?,
        };
        let Some(alone) = alone else {
            return Ok(false);
        };
        // Deleted before it was locked, and what is there now is a build's.
        if !alone.is_of(&mount.directory)? {
            return Ok(true);
        }
        let room = Temporary::new(self)?;
        fs::rename(&mount.directory, room.path().join("mount")).on("delete", &mount.directory)?;
        if let Some(top) = mount.directory.parent() {
            // The last one of its key: what they are is known no more. A build that makes another one writes it again.
            let is_last = entries(top)?.iter().all(|path| path.ends_with(DESCRIPTION));
            if is_last {
                let _ = fs::remove_file(top.join(DESCRIPTION));
                let _ = fs::remove_dir(top);
            }
        }
        room.remove()?;
        Ok(true)
    }

    /// Holds one for reading or writing from outside a build.
    ///
    /// # Errors
    /// Where a build uses it.
    pub fn use_cache_mount(&self, mount: &CacheMount) -> Result<Lock> {
        Lock::unless_used(&mount.directory)?.ok_or_else(|| Error::Damaged {
            path: mount.directory.clone(),
            reason: "a build uses it; try again when that has ended".to_owned(),
        })
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The paths in a directory; none where it isn't there.
fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        result => result.on("read", directory)?,
    };
    let mut paths = Vec::new();
    for entry in listed {
        paths.push(entry.on("read", directory)?.path());
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wiac_layer::Form;

    #[test]
    fn they_are_listed_and_deleted_unless_in_use() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::open(dir.path(), Form::Trusted).expect("store");
        assert!(store.cache_mounts().expect("listed").is_empty());
        let top = store.cache_mount_top("abc", r#"{"id":"pip"}"#).expect("made");
        fs::create_dir_all(top.join("0")).expect("mkdir");
        fs::write(top.join("0/file"), "12345").expect("write");
        let mounts = store.cache_mounts().expect("listed");
        assert_eq!((mounts[0].id.as_str(), mounts[0].size), ("pip", 5));
        let used = store.use_cache_mount(&mounts[0]).expect("free");
        assert!(!store.remove_cache_mount(&mounts[0]).expect("asked"));
        drop(used);
        assert!(store.remove_cache_mount(&mounts[0]).expect("deleted"));
        assert!(!top.exists());
        assert!(store.remove_cache_mount(&mounts[0]).expect("gone already"));
        let top = store.cache_mount_top("abc", r#"{"id":"pip"}"#).expect("made again");
        assert_eq!(
            fs::read_to_string(top.join(DESCRIPTION)).expect("read"),
            "{\"id\":\"pip\"}\n"
        );
    }
}
