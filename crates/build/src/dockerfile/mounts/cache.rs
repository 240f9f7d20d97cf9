//! Cache mounts: directories in the data directory that outlive builds, `cache/mounts/<key>/<number>`, with what they
//! are in `cache/mounts/<key>/mount.json`.

use super::super::Build;
use super::super::transfer::Origin;
use super::lock::CacheLock;
use super::{Ready, word};
use crate::copy::{Copier, Options, Place};
use crate::error::{Error, IoExt, Result};
use crate::key::KeyMaker;
use rustix::fs::{Gid, Mode, Uid};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wiac_dockerfile::{Mount, Sharing};

/// How often a taken lock is asked for again.
const PAUSE: Duration = Duration::from_millis(20);

/// What is written beside the directories of a cache mount.
#[derive(Debug, serde::Serialize)]
struct Description<'d> {
    /// Its id, or the target it is named after.
    id: &'d str,
    from: Option<&'d str>,
    source: &'d str,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Build<'_, '_> {
    /// The directory of a cache mount, made where it isn't there, and locked as its sharing asks.
    pub(super) fn cache_directory(
        &mut self,
        mount: &Mount,
        target: &Path,
        room: &Path,
        ready: &mut Ready,
    ) -> Result<(PathBuf, CacheLock)> {
        let Mount::Cache {
            id,
            from,
            source,
            sharing,
            mode,
            uid,
            gid,
            ..
        } = mount
        else {
            return Err(Error::wrong("this is no cache mount"));
        };
        let default_id = target.to_string_lossy();
        let description = Description {
            id: id.as_deref().unwrap_or(&default_id),
            from: from.as_deref(),
            source,
            mode: *mode,
            uid: *uid,
            gid: *gid,
        };
        let top = self.cache_top(&description)?;
        for number in 0_u32.. {
            let directory = top.join(number.to_string());
            if !directory.is_dir() {
                self.make_cache(&description, &directory, room, ready)?;
            }
            match sharing {
                Sharing::Private => {
                    if let Some(lock) = CacheLock::try_exclusive(&directory)? {
                        return Ok((directory, lock));
                    }
                }
                Sharing::Shared | Sharing::Locked => {
                    let is_alone = *sharing == Sharing::Locked;
                    let lock = self.wait_for_cache(&directory, is_alone)?;
                    return Ok((directory, lock));
                }
            }
        }
        Err(Error::wrong("there are too many copies of a cache mount"))
    }

    /// `cache/mounts/<key>`, with its description. As in BuildKit, a cache that begins otherwise is another one.
    fn cache_top(&mut self, description: &Description<'_>) -> Result<PathBuf> {
        let mut key = KeyMaker::new("cache mount");
        let text = serde_json::to_string(description).unwrap_or_default();
        key.add(&text);
        if let Origin::Layers { layers, .. } = self.origin(word(description.from).as_ref())? {
            key.add_all(&layers.iter().map(|(_, lineage)| lineage).collect::<Vec<_>>());
        }
        let key = key.finish();
        let top = self.tools.store.root().join("cache/mounts").join(&key[..32]);
        std::fs::create_dir_all(&top).on("create", &top)?;
        let path = top.join("mount.json");
        if !path.exists() {
            std::fs::write(&path, text + "\n").on("write", &path)?;
        }
        Ok(top)
    }

    /// Makes the directory of a cache mount beside its place and moves it there: another build may do the same.
    fn make_cache(
        &mut self,
        description: &Description<'_>,
        directory: &Path,
        room: &Path,
        ready: &mut Ready,
    ) -> Result<()> {
        std::fs::create_dir_all(room).on("create", room)?;
        let draft = room.join("cache");
        std::fs::create_dir(&draft).on("create", &draft)?;
        if description.from.is_some() {
            let first = self.view(ready, description.from, description.source, room)?;
            copy_contents(&first, &draft)?;
        }
        let made = crate::directory::open(&draft)?;
        let is_dressed =
            description.from.is_none() || description.uid.or(description.gid).or(description.mode).is_some();
        if is_dressed {
            let uid = Uid::from_raw(description.uid.unwrap_or(0));
            let gid = Gid::from_raw(description.gid.unwrap_or(0));
            rustix::fs::fchown(&made, Some(uid), Some(gid)).on("change the owner of", &draft)?;
            let mode = Mode::from_raw_mode(description.mode.unwrap_or(0o755));
            rustix::fs::fchmod(&made, mode).on("change the mode of", &draft)?;
        }
        match std::fs::rename(&draft, directory) {
            // Another build was faster.
            Err(_) if directory.is_dir() => Ok(()),
            result => result.on("move into place", &draft),
        }
    }

    /// Waits for a cache mount; a signal ends the waiting.
    fn wait_for_cache(&mut self, directory: &Path, is_alone: bool) -> Result<CacheLock> {
        loop {
            let lock = if is_alone {
                CacheLock::try_exclusive(directory)?
            } else {
                CacheLock::try_shared(directory)?
            };
            if let Some(lock) = lock {
                return Ok(lock);
            }
            if let Some(signal) = self.tools.signals.next_request_to_end() {
                return Err(Error::Interrupted { signal });
            }
            std::thread::sleep(PAUSE);
        }
    }
}

fn copy_contents(from: &Path, to: &Path) -> Result<()> {
    let (source, target) = (crate::directory::open(from)?, crate::directory::open(to)?);
    let name = OsStr::new(".");
    let [from, to] = [(source.as_fd(), from), (target.as_fd(), to)].map(|(dir, shown)| Place { dir, name, shown });
    Ok(Copier::new(Options::default()).copy(&from, &to)?)
}
