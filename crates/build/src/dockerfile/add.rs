//! ADD: files of the build context, of the web, and of git repositories.

use super::cached::Made;
use super::git::Checkout;
use super::hashing::{self, How};
use super::prepared::{Prepared, given};
use super::stage::Stage;
use super::transfer::said;
use super::tree::{self, Picked};
use super::web::WebFile;
use super::worker::Worker;
use super::writer::Writer;
use super::{archive, unpack};
use crate::context::Source;
use crate::error::{Error, Result};
use crate::progress::Event;
use std::path::Path;
use wiac_dockerfile::remote::Remote;
use wiac_dockerfile::{Add, Transfer};
use wiac_layer::merged::LayerStack;
use wiac_store::temporary::Temporary;

/// One source of an ADD that has remote ones.
enum Item {
    Local(Vec<Picked>),
    Web(WebFile),
    Git(Checkout),
}

impl Worker<'_, '_> {
    /// Carries ADD out, or finds the layer that it made before; `true` for the latter.
    pub(super) fn add(&mut self, stage: &mut Stage, add: &Add) -> Result<bool> {
        let mut prepared = self.prepare(stage, &add.transfer)?;
        let remotes = remotes(&prepared)?;
        let said = said("ADD", None, &add.transfer, &prepared);
        prepared.unpack = add.unpack.unwrap_or(true);
        let is_remote = remotes.iter().any(Option::is_some);
        let checksum = given(stage, add.checksum.as_ref())?;
        if let Some(checksum) = &checksum {
            check_checksum(checksum, &remotes, &add.transfer)?;
        }
        if !is_remote {
            return self.transfer_local(stage, &prepared, said, None);
        }
        let room = Temporary::new(self.shared.store)?;
        let mut items = Vec::with_capacity(remotes.len());
        for (number, (remote, written)) in remotes.into_iter().zip(&prepared.sources).enumerate() {
            items.push(match remote {
                None => Item::Local(tree::pick(
                    &self.shared.context,
                    std::slice::from_ref(written),
                    &prepared.exclude,
                )?),
                Some(Remote::Web(address)) => {
                    let is_forced = self.is_forced(stage);
                    let into = room.create_dir(&number.to_string())?;
                    Item::Web(WebFile::resolve(
                        self.shared,
                        address,
                        checksum.as_deref(),
                        is_forced,
                        into,
                    )?)
                }
                Some(Remote::Git(git)) => {
                    let into = room.create_dir(&number.to_string())?;
                    Item::Git(Checkout::resolve(
                        self.shared,
                        git,
                        checksum.as_deref(),
                        add.keep_git_dir,
                        into,
                    )?)
                }
            });
        }
        // A file that was downloaded is an archive only where that is asked for.
        let unpacks_downloads = add.unpack == Some(true);
        self.add_items(stage, &prepared, said, items, unpacks_downloads)
    }

    fn add_items(
        &mut self,
        stage: &mut Stage,
        prepared: &Prepared,
        said: String,
        mut items: Vec<Item>,
        unpacks_downloads: bool,
    ) -> Result<bool> {
        let local: Vec<Picked> = items.iter().flat_map(Item::picked).cloned().collect();
        let (key, inputs) = prepared.key(stage, "ADD", |key| {
            key.add(format!("{unpacks_downloads}"));
            for item in &items {
                match item {
                    Item::Local(_) => {}
                    Item::Web(file) => file.add_to_key(key),
                    Item::Git(checkout) => checkout.add_to_key(key),
                }
            }
            hashing::add_to_key(&self.shared.context, &local, &prepared.exclude, How::default(), key)
        })?;
        let before = inputs.fingerprint;
        self.note_inputs(prepared.inputs(stage, "ADD", &said));
        self.note_files(inputs.manifest);
        self.cached_or(stage, &key, said, |worker, stage, draft| {
            let mut made = Made::Whole;
            for item in &mut items {
                match item {
                    Item::Local(_) => {}
                    Item::Web(file) => {
                        if !file.fetch(worker.shared)? {
                            made = Made::Unsure;
                        }
                    }
                    Item::Git(checkout) => checkout.fetch(worker.shared)?,
                }
            }
            worker.write_items(stage, &draft.diff(), prepared, &items, unpacks_downloads)?;
            if made == Made::Unsure {
                let message = "a file changed between two requests for it: the next build asks again";
                worker.shared.tell(Event::Warning(message));
                return Ok(made);
            }
            worker.check_unchanged(None, &local, prepared, &before)
        })
    }

    fn write_items(
        &self,
        stage: &Stage,
        diff: &Path,
        prepared: &Prepared,
        items: &[Item],
        unpacks_downloads: bool,
    ) -> Result<()> {
        let stack = if prepared.link {
            LayerStack::default()
        } else {
            stage.stack(self.shared)?
        };
        let form = self.shared.store.form();
        let mut writer = Writer::new(&stack, diff, prepared)?;
        let mut put = |source: &Source, one: &Picked, unpacks: bool| -> Result<()> {
            let archive = if unpacks && !one.is_directory {
                archive::open(source, one)?
            } else {
                None
            };
            match archive {
                Some(archive) => unpack::unpack(&mut writer, form, prepared, archive),
                None => writer.put(source, one, &prepared.exclude),
            }
        };
        for item in items {
            match item {
                Item::Local(picked) => picked
                    .iter()
                    .try_for_each(|one| put(&self.shared.context, one, prepared.unpack))?,
                Item::Web(file) => {
                    let (source, one) = file.source()?;
                    put(&source, &one, unpacks_downloads)?;
                }
                Item::Git(checkout) => {
                    let (source, one) = checkout.source()?;
                    put(&source, &one, false)?;
                }
            }
        }
        prepared
            .inline
            .iter()
            .try_for_each(|(name, content)| writer.put_text(name, content))
    }
}

impl Item {
    fn picked(&self) -> &[Picked] {
        match self {
            Self::Local(picked) => picked,
            Self::Web(_) | Self::Git(_) => &[],
        }
    }
}

/// Which of the sources are remote ones.
fn remotes(prepared: &Prepared) -> Result<Vec<Option<Remote>>> {
    let remote = |text: &String| {
        Remote::of_source(text).map_err(|reason| Error::wrong(format!("{}: {reason}", shown_address(text))))
    };
    prepared.sources.iter().map(remote).collect()
}

/// COPY takes no remote sources.
pub(super) fn refuse_remotes(prepared: &Prepared) -> Result<()> {
    let first = prepared
        .sources
        .iter()
        .find(|text| !matches!(Remote::of_source(text), Ok(None)));
    match first {
        None => Ok(()),
        Some(text) => Err(Error::wrong_with_hint(
            format!(
                "{}: COPY takes files of the build context, not URLs",
                shown_address(text)
            ),
            "ADD is the instruction for downloads",
        )),
    }
}

/// An address without a password and without its query.
pub(super) fn shown_address(text: &str) -> String {
    without_user(text.split('?').next().unwrap_or_default())
}

/// An address without a password: nothing of one belongs into an image's history. Other text stays as it is.
pub(super) fn without_user(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let host = rest[..end].rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{}", &rest[end..])
        }
        None => text.to_owned(),
    }
}

fn check_checksum(checksum: &str, remotes: &[Option<Remote>], transfer: &Transfer) -> Result<()> {
    if remotes.iter().all(Option::is_none) {
        return Err(Error::wrong_with_hint(
            format!("--checksum={checksum}: a checksum is for a download, and every source here is a file"),
            "leave it out, or check the file in a RUN: echo '<sum>  <file>' | sha256sum -c",
        ));
    }
    if transfer.sources.len() != 1 {
        return Err(Error::wrong_with_hint(
            format!("--checksum={checksum}: it is for one source, and there are several"),
            "write an ADD for each of them",
        ));
    }
    Ok(())
}
