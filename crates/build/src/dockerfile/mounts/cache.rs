//! Cache mounts: directories in the data directory that outlive builds, `cache/mounts/<key>/<number>`, with what they
//! are in `cache/mounts/<key>/mount.json`.

use super::super::transfer::Origin;
use super::super::worker::Worker;
use super::lock::{Attempt, CacheLock};
use super::{Ready, Wanted, word};
use crate::copy::{Copier, Options, Place};
use crate::error::{IoExt, Result};
use crate::key::KeyMaker;
use rustix::fs::{CWD, Gid, Mode, RenameFlags, Uid, renameat_with};
use rustix::io::Errno;
use std::collections::BTreeMap;
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

impl<'m> Description<'m> {
    /// Of a cache mount; `None` for another one.
    fn of(mount: &'m Mount, target: &'m str) -> Option<(Self, Sharing)> {
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
            return None;
        };
        let description = Self {
            id: id.as_deref().unwrap_or(target),
            from: from.as_deref(),
            source,
            mode: *mode,
            uid: *uid,
            gid: *gid,
        };
        Some((description, *sharing))
    }
}

impl Worker<'_, '_> {
    /// The directories of a step's cache mounts by the mounts' numbers, made where they aren't there, and locked as their
    /// sharing asks: in an order that all builds keep to, so that no two wait for each other.
    pub(super) fn cache_directories(
        &mut self,
        wanted: &[Wanted],
        room: &Path,
        ready: &mut Ready,
    ) -> Result<BTreeMap<usize, PathBuf>> {
        let targets: Vec<String> = wanted
            .iter()
            .map(|one| {
                one.target
                    .as_deref()
                    .unwrap_or(Path::new(""))
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        let mut caches = Vec::new();
        for (number, (one, target)) in wanted.iter().zip(&targets).enumerate() {
            if let Some((description, sharing)) = Description::of(&one.mount, target) {
                caches.push((self.cache_top(&description)?, number, description, sharing));
            }
        }
        caches.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        let mut directories: BTreeMap<usize, PathBuf> = BTreeMap::new();
        let mut before: Option<(&PathBuf, PathBuf)> = None;
        for (top, number, description, sharing) in &caches {
            let directory = match before {
                // Mounted twice, it is the step's own already.
                Some((same, directory)) if same == top => directory,
                _ => {
                    let room = room.join(format!("mount-{number}"));
                    let (directory, lock) = self.cache_directory(description, *sharing, top, &room, ready)?;
                    ready.locks.push(lock);
                    directory
                }
            };
            directories.insert(*number, directory.clone());
            before = Some((top, directory));
        }
        Ok(directories)
    }

    fn cache_directory(
        &mut self,
        description: &Description<'_>,
        sharing: Sharing,
        top: &Path,
        room: &Path,
        ready: &mut Ready,
    ) -> Result<(PathBuf, CacheLock)> {
        let is_alone = sharing != Sharing::Shared;
        let mut is_told = false;
        let mut number = 0_u32;
        loop {
            let directory = top.join(number.to_string());
            if !directory.is_dir() {
                self.make_cache(description, &directory, room, ready)?;
            }
            match CacheLock::attempt(&directory, is_alone)? {
                Attempt::Held(lock) => return Ok((directory, lock)),
                Attempt::Gone => {}
                Attempt::Taken if sharing == Sharing::Private => number += 1,
                Attempt::Taken => {
                    if !is_told {
                        self.tell_waiting("for a cache mount that another step uses");
                        is_told = true;
                    }
                    self.shared.stop.pause(PAUSE)?;
                }
            }
        }
    }

    /// `cache/mounts/<key>`, with its description. As in BuildKit, a cache that begins otherwise is another one.
    fn cache_top(&mut self, description: &Description<'_>) -> Result<PathBuf> {
        let mut key = KeyMaker::new("cache mount");
        let text = serde_json::to_string(description).unwrap_or_default();
        key.add(&text);
        if let Origin::Layers { layers, .. } = self.origin(word(description.from).as_ref())? {
            key.add_all(&layers.iter().map(|layer| &layer.lineage).collect::<Vec<_>>());
        }
        Ok(self.shared.store.cache_mount_top(&key.finish()[..32], &text)?)
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
        loop {
            // Not over another build's: an empty directory would be replaced although it is in use.
            match renameat_with(CWD, &draft, CWD, directory, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => return std::fs::remove_dir_all(&draft).on("delete", &draft),
                // The last one of the key was deleted meanwhile, and its place with it.
                Err(Errno::NOENT) => drop(self.cache_top(description)?),
                result => return result.on("move into place", &draft),
            }
        }
    }
}

fn copy_contents(from: &Path, to: &Path) -> Result<()> {
    let (source, target) = (crate::directory::open(from)?, crate::directory::open(to)?);
    let name = OsStr::new(".");
    let [from, to] = [(source.as_fd(), from), (target.as_fd(), to)].map(|(dir, shown)| Place { dir, name, shown });
    Ok(Copier::new(Options::default()).copy(&from, &to)?)
}
