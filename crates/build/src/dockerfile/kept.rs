//! A RUN that failed, kept as it was: its changes become a layer that no build uses, beside a note of how it ran.

use super::mounts::{Secret, Wanted};
use super::stage::Stage;
use super::stage_layer::StageLayer;
use super::worker::{Worker, lock};
use crate::container::{Network, Wishes};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use wiac_dockerfile::Mount;
use wiac_oci::runtime::{self, Rlimit};
use wiac_store::layer::Draft;
use wiac_store::{FailureRecord, LayerId, LayerInfo};

/// How a failed step ran. No secret's content is in it, nor what the step said, which might hold one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct KeptRun {
    /// The stage.
    pub stage: String,
    /// What ran.
    pub command: String,
    /// What it ended with.
    pub code: i32,
    /// Variables of the image and of ARG.
    pub env: Vec<String>,
    /// The user.
    pub user: String,
    /// The working directory.
    pub working_dir: String,
    /// The stage's shell.
    pub shell: Vec<String>,
    /// It saw no network.
    pub no_network: bool,
    /// It ran without confinement.
    pub insecure: bool,
    /// Further lines of /etc/hosts.
    pub hosts: Vec<(String, String)>,
    /// The size of /dev/shm.
    pub shm_size: Option<u64>,
    /// Resource limits.
    pub limits: Vec<Rlimit>,
    /// Mounts whose sources outlive the step.
    pub mounts: Vec<runtime::Mount>,
    /// Where secrets came from.
    pub secrets: Vec<KeptSecret>,
    /// Sockets of SSH agents, and where they were seen.
    pub agents: Vec<(PathBuf, PathBuf)>,
    /// Where something was mounted that is gone.
    pub missing: Vec<String>,
}

/// A secret by where it comes from.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct KeptSecret {
    /// Its id.
    pub id: String,
    /// Its file.
    #[serde(default, with = "wiac_oci::paths::optional")]
    pub file: Option<PathBuf>,
    /// The caller's variable that holds it.
    pub variable: Option<String>,
    /// Where it is seen as a file.
    pub target: Option<PathBuf>,
    /// The variable it is seen as.
    pub env: Option<String>,
}

impl Worker<'_, '_> {
    /// Notes how the step ran that has just failed.
    pub(super) fn note_failure(
        &mut self,
        stage: &Stage,
        error: &Error,
        wishes: &Wishes,
        (wanted, mounts): (&[Wanted], &[runtime::Mount]),
        room: &Path,
    ) {
        let Error::Failed { code, .. } = error else { return };
        let image = &stage.config.config;
        let mut env = image.env.clone();
        env.extend(stage.visible_arguments());
        let mut kept = KeptRun {
            stage: stage.name.clone(),
            code: *code,
            env,
            user: image.user.clone(),
            working_dir: image.working_dir.clone(),
            shell: stage.shell(),
            no_network: wishes.network == Network::None,
            insecure: wishes.insecure,
            hosts: wishes.hosts.clone(),
            shm_size: wishes.shm_size,
            limits: wishes.limits.clone(),
            ..KeptRun::default()
        };
        for one in wanted {
            self.keep_mount(&mut kept, one, mounts, room);
        }
        self.failed = Some(kept);
    }

    fn keep_mount(&self, kept: &mut KeptRun, wanted: &Wanted, mounts: &[runtime::Mount], room: &Path) {
        let request = self.shared.request;
        let target = wanted.target().map(Path::to_owned);
        match wanted.mount() {
            Mount::Secret { id, env, .. } => {
                let (file, variable) = match request.secrets.get(id) {
                    Some(Secret::File(path)) => (std::path::absolute(path).ok(), None),
                    Some(Secret::Variable(name)) => (None, Some(name.clone())),
                    None => return,
                };
                kept.secrets.push(KeptSecret {
                    id: id.clone(),
                    file,
                    variable,
                    target,
                    env: env.clone(),
                });
            }
            Mount::Ssh { id, .. } => {
                let default = || PathBuf::from(format!("/run/buildkit/ssh_agent.{}", kept.agents.len()));
                let target = target.unwrap_or_else(default);
                kept.agents
                    .extend(request.ssh.get(id).map(|socket| (socket.clone(), target)));
            }
            _ => {
                let place = target.unwrap_or_default().to_string_lossy().into_owned();
                let found = mounts.iter().find(|mount| mount.destination == place);
                // What lies in the step's own room goes with it.
                let lasts = |mount: &&runtime::Mount| {
                    mount
                        .source
                        .as_ref()
                        .is_none_or(|source| !Path::new(source).starts_with(room))
                };
                match found.filter(lasts) {
                    Some(mount) => kept.mounts.push(mount.clone()),
                    None => kept.missing.push(place),
                }
            }
        }
    }

    /// Keeps the changes of the step that has just failed; it must be over. What can't be kept is no reason for another
    /// error: the step's own is the one to tell.
    pub(super) fn keep_failure(&mut self, stage: &Stage, draft: Draft, said: &str) {
        let Some(mut kept) = self.failed.take().filter(|_| !self.shared.request.apart) else {
            return;
        };
        said.clone_into(&mut kept.command);
        if let Ok(id) = self.store_failure(stage, draft, &kept) {
            lock(&self.shared.request.kept).push(id);
        }
    }

    fn store_failure(&self, stage: &Stage, draft: Draft, kept: &KeptRun) -> Result<String> {
        let store = self.shared.store;
        let created = wiac_oci::time::now();
        let info = LayerInfo {
            form: store.form(),
            lineage: LayerId::random()?.to_string(),
            created_by: format!("failed: {}", kept.command),
            created: created.clone(),
            unpacked_from: None,
            elsewhere: None,
        };
        let held = draft.commit(store, &info)?;
        let layers: Option<Vec<LayerId>> = stage.layers.iter().map(StageLayer::id).collect();
        let mut layers = layers.ok_or_else(|| Error::wrong("a layer below isn't here"))?;
        layers.push(held.id.clone());
        let id = held.id.as_str().chars().take(12).collect::<String>();
        store.add_failure(&FailureRecord {
            id: id.clone(),
            layers,
            created,
            details: serde_json::to_value(kept).map_err(|error| Error::wrong(error.to_string()))?,
        })?;
        Ok(id)
    }
}
