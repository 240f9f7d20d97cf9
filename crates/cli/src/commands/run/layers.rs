//! What a container stands on: the layers below it and the directory that takes its changes.

use super::request::Request;
use crate::data::Data;
use crate::error::{Failure, words};
use crate::located::locate;
use crate::pulling::Pulling;
use rustix::fs::Mode;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use wiac_build::bundle;
use wiac_build::commit;
use wiac_build::container::{self, Workspace};
use wiac_build::container_layer::ContainerRecord;
use wiac_layer::merged::LayerStack;
use wiac_layer::{Form, marks};
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::Platform;
use wiac_run::Container;
use wiac_store::leases::ContainerName;
use wiac_store::temporary::Temporary;
use wiac_store::{HeldLayer, LayerInfo, Lock};

/// Directories looked at for overlayfs's marks in a layer that isn't from our store.
const PROBED: usize = 100_000;

/// Everything a container needs on disk, held as long as it runs.
pub(super) struct Ground {
    /// The layers below.
    pub(super) stack: LayerStack,
    /// What the image says.
    pub(super) image: ImageConfig,
    /// The overlay's own directories.
    pub(super) workspace: Workspace,
    /// Where resolv.conf and the like are written.
    pub(super) files: PathBuf,
    /// Names the container.
    pub(super) id: String,
    /// The container layer that the user named.
    container_layer: Option<PathBuf>,
    temporary: Temporary,
    _name: Option<ContainerName>,
    _locks: Vec<Lock>,
}

impl Ground {
    /// Removes what was `container`'s alone, while the kernel takes its mounts down; nothing of it is left then.
    pub(super) fn clear(self, container: Container) {
        drop(self.temporary);
        drop(container);
    }

    /// What the container sees: a container layer may have brought its own users and libraries.
    pub(super) fn seen(&self) -> LayerStack {
        let is_new = self.workspace.volatile;
        if is_new {
            self.stack.clone()
        } else {
            self.stack.with_upper(&self.workspace.upper)
        }
    }

    /// Writes down in the container layer what is mounted on: a commit takes away what was made for that.
    pub(super) fn note_mounts(&self, targets: &[PathBuf]) -> Result<(), Failure> {
        let Some(layer) = &self.container_layer else {
            return Ok(());
        };
        if let Some(mut record) = ContainerRecord::read(layer)?
            && record.note_mounts(targets)
        {
            record.write(layer)?;
        }
        Ok(())
    }

    /// Finds the layers, locks them, and makes the directories.
    pub(super) fn prepare(
        data: &Data,
        request: Request,
        name: Option<&str>,
        pulling: &Pulling,
    ) -> Result<Self, Failure> {
        let temporary = Temporary::new(&data.store)?;
        let files = temporary.create_dir("files")?;
        let id: String = temporary
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .chars()
            .take(12)
            .collect();
        let mut locks = Vec::new();
        let name = name.map(|name| take_name(data, name)).transpose()?;
        let mut container_layer_path = None;
        let (stack, image, workspace) = match request {
            Request::Chain { lowers, layer } => {
                let chain = chain_directories(&lowers)?;
                let layer = open_container_layer(data, &layer, &mut locks)?;
                let stack = stack_of(chain, &layer)?;
                for path in stack.directories() {
                    locks.extend(lock_if_stored(path)?);
                }
                let workspace = container_layer(data, &layer, &stack)?;
                container_layer_path = Some(layer);
                let (directories, merged) = data.store.fit_directories(stack.directories(), data.owner_policy())?;
                locks.extend(merged.into_iter().map(|held| held.lock));
                let stack = LayerStack::new(directories);
                (stack, ImageConfig::default(), workspace)
            }
            Request::Image(name) => {
                let (layers, image) = find_layers(data, &name, pulling)?;
                let layers = data.store.fit(layers, data.owner_policy())?;
                let stack = LayerStack::new(layers.iter().map(|held| data.store.layer_diff(&held.id)).collect());
                locks.extend(layers.into_iter().map(|held| held.lock));
                let workspace = throw_away(&temporary, &stack)?;
                (stack, image, workspace)
            }
            Request::Build(_) => return Err(Failure::new("the build has to come first")),
        };
        if stack.is_empty() {
            return Err(Failure::new("the image has no layers: there is nothing to run in it"));
        }
        Ok(Self {
            stack,
            image,
            workspace,
            files,
            id,
            container_layer: container_layer_path,
            temporary,
            _name: name,
            _locks: locks,
        })
    }
}

/// The layers of an image, locked from here on, and its configuration.
fn find_layers(data: &Data, name: &str, pulling: &Pulling) -> Result<(Vec<HeldLayer>, ImageConfig), Failure> {
    if let Some(programs) = name.strip_prefix(bundle::SCHEME) {
        let bundle = bundle::layer(&data.store, programs)?;
        return Ok((vec![bundle.layer], bundle.config));
    }
    // A directory of this name is meant more likely than an image elsewhere.
    let found = if Path::new(name).exists() {
        locate(data, name)
    } else {
        pulling.locate(data, name)
    };
    match found {
        Ok(located) => {
            let found = Platform::of(&located.config);
            if let Some(wanted) = pulling.platform.as_ref().filter(|wanted| !wanted.takes(&found)) {
                eprintln!(
                    "wiac: warning: {name} is for {found} here, not for {wanted}; --pull=always fetches that one"
                );
            }
            Ok((located.layers, located.config))
        }
        Err(failure) if wiac_foreign::parse(name).is_none() && Path::new(name).exists() => Err(Failure::new(format!(
            "{failure}; for a directory write ./{name} (LOWER[:LOWER…] CONTAINERLAYER COMMAND…)"
        ))),
        Err(failure) => Err(failure),
    }
}

/// A name belongs to one running container.
fn take_name(data: &Data, name: &str) -> Result<ContainerName, Failure> {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.len() < 2 || !name.chars().all(valid) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(Failure::usage(format!(
            "--name {name}: a name has two or more of the characters a-z A-Z 0-9 _ . - and begins with a letter or digit"
        )));
    }
    data.store
        .take_container_name(name)?
        .ok_or_else(|| Failure::new(format!("--name {name}: a running container has this name")))
}

fn throw_away(temporary: &Temporary, stack: &LayerStack) -> Result<Workspace, Failure> {
    let workspace = Workspace {
        upper: temporary.create_dir("diff")?,
        work: temporary.create_dir("work")?,
        merged: temporary.create_dir("merged")?,
        volatile: true,
    };
    container::prepare_upper(stack, &workspace.upper)?;
    Ok(workspace)
}

/// The directories of the chain, topmost first.
fn chain_directories(lowers: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut directories = Vec::with_capacity(lowers.len());
    let mut seen = Vec::with_capacity(lowers.len());
    for lower in lowers {
        let meta = std::fs::metadata(lower)
            .map_err(|error| Failure::usage(format!("lower directory {}: {}", lower.display(), words(&error))))?;
        if !meta.is_dir() {
            return Err(Failure::usage(format!(
                "lower directory {}: it is a file, not a directory",
                lower.display()
            )));
        }
        let identity = (meta.dev(), meta.ino());
        if seen.contains(&identity) {
            return Err(Failure::usage(format!(
                "lower directory {}: it is in the chain already, and overlayfs takes a directory once",
                lower.display()
            )));
        }
        seen.push(identity);
        directories.push(crate::environment::absolute(lower)?);
    }
    Ok(directories)
}

/// What the container layer lies on: the chain, and on top what was committed from it before.
fn stack_of(chain: Vec<PathBuf>, layer: &Path) -> Result<LayerStack, Failure> {
    let known = ContainerRecord::read(layer)?;
    let mut directories = known.and_then(|record| record.with_committed(&chain)).unwrap_or(chain);
    directories.reverse();
    Ok(LayerStack::new(directories))
}

/// A layer of our own store is locked against deletion, by whatever path it was named.
fn lock_if_stored(directory: &Path) -> Result<Option<Lock>, Failure> {
    let layer = directory.parent().filter(|_| directory.ends_with("diff"));
    match layer.filter(|layer| layer.join("layer.json").is_file()) {
        Some(layer) => Ok(Lock::shared_where_allowed(layer)?),
        None => Ok(None),
    }
}

fn make_directory(path: PathBuf) -> Result<PathBuf, Failure> {
    match std::fs::create_dir_all(&path) {
        Ok(()) => Ok(path),
        Err(error) => Err(Failure::usage(format!(
            "can't make {}: {}",
            path.display(),
            words(&error)
        ))),
    }
}

/// Locks the container layer, made where it is missing. A commit of it that was cut off is finished or taken back.
fn open_container_layer(data: &Data, layer: &Path, locks: &mut Vec<Lock>) -> Result<PathBuf, Failure> {
    let layer = make_directory(crate::environment::absolute(layer)?)?;
    locks.push(
        Lock::unless_used(&layer)?
            .ok_or_else(|| Failure::usage(format!("{} is in use by another container", layer.display())))?,
    );
    refuse_foreign_work(&layer)?;
    commit::recover(&data.store, &layer)?;
    Ok(layer)
}

/// overlayfs deletes what is in `work/work` whenever it is mounted. Its own gives nobody a right; another one is somebody's
/// work.
fn refuse_foreign_work(layer: &Path) -> Result<(), Failure> {
    let path = layer.join("work/work");
    let Ok(status) = path.metadata() else {
        return Ok(());
    };
    let rights = Mode::RWXU | Mode::RWXG | Mode::RWXO;
    let is_own = !Mode::from_raw_mode(status.permissions().mode()).intersects(rights);
    let is_empty = || std::fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_none());
    if is_own || is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{} can't be a container layer: overlayfs would delete what is in {}; name another directory",
        layer.display(),
        path.display()
    )))
}

/// The directories of a container layer, made where missing; what it runs on is recorded in it.
fn container_layer(data: &Data, layer: &Path, stack: &LayerStack) -> Result<Workspace, Failure> {
    record(data, layer, stack)?;
    commit::fresh_upper(layer, stack)?;
    Ok(Workspace {
        upper: layer.join("diff"),
        work: make_directory(layer.join("work"))?,
        merged: make_directory(layer.join("merged"))?,
        volatile: false,
    })
}

/// Writes down what the container layer runs on, after making sure that its layers' marks are of one form. Layers of the
/// store are kept for it from then on.
fn record(data: &Data, layer: &Path, stack: &LayerStack) -> Result<(), Failure> {
    data.store
        .lease(layer, stack.directories(), || write_record(data, layer, stack))
}

fn write_record(data: &Data, layer: &Path, stack: &LayerStack) -> Result<(), Failure> {
    let lowerdirs: Vec<PathBuf> = stack.directories().iter().rev().cloned().collect();
    let form = data.store.form();
    let known = ContainerRecord::read(layer)?;
    if known
        .as_ref()
        .is_some_and(|known| known.lowerdirs == lowerdirs && known.form == form)
    {
        return Ok(());
    }
    refuse_other_form(stack, form)?;
    let record = ContainerRecord {
        lowerdirs,
        form,
        committed: 0,
        mounts: known.map(|known| known.mounts).unwrap_or_default(),
        committing: None,
    };
    Ok(record.write(layer)?)
}

/// Marks of the other form mean nothing to the kernel: files deleted in an upper layer would be back.
fn refuse_other_form(stack: &LayerStack, form: Form) -> Result<(), Failure> {
    // Marks in the lowest layer hide nothing.
    for directory in stack.directories().iter().skip(1) {
        let found = match recorded_form(directory) {
            Some(recorded) if recorded == form => None,
            // Only root can read trusted attributes: what the store says has to do.
            Some(Form::Trusted) => Some(Form::Trusted),
            _ => marks::probe(directory, PROBED)?,
        };
        if let Some(found) = found.filter(|found| *found != form) {
            return Err(Failure::usage(format!(
                "lower directory {}: its deletions are marked in {}, which {} can't see: deleted files would be back",
                directory.display(),
                found.attribute("*"),
                if form == Form::Trusted {
                    "root's overlay"
                } else {
                    "an ordinary user's overlay"
                },
            )));
        }
    }
    Ok(())
}

/// The form that a layer of a store says it has, whoever's store it is.
fn recorded_form(directory: &Path) -> Option<Form> {
    let text = std::fs::read(directory.parent()?.join("layer.json")).ok()?;
    serde_json::from_slice::<LayerInfo>(&text).ok().map(|info| info.form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_the_other_form_are_refused_in_a_store_s_layers_too() {
        let place = tempfile::tempdir().expect("tempdir");
        let layer = place.path().join("layer");
        std::fs::create_dir_all(layer.join("diff/etc")).expect("mkdir");
        let attribute = Form::User.attribute("opaque");
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(layer.join("diff/etc"), attribute, b"y", flags).expect("user xattrs on the test's disk");
        let info = LayerInfo {
            form: Form::User,
            lineage: String::new(),
            created_by: String::new(),
            created: String::new(),
            unpacked_from: None,
            elsewhere: None,
        };
        let text = serde_json::to_vec(&info).expect("json");
        std::fs::write(layer.join("layer.json"), text).expect("write");
        let stack = LayerStack::new(vec![place.path().to_owned(), layer.join("diff")]);
        assert!(refuse_other_form(&stack, Form::Trusted).is_err());
        assert!(refuse_other_form(&stack, Form::User).is_ok());
    }
}
