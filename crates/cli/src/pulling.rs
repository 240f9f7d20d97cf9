//! Whether an image is pulled before it is used: `--pull`.

use crate::data::Data;
use crate::error::Failure;
use crate::located::{Located, find, locate, stored};
use crate::place;
use crate::registry::{RegistryOptions, pull};
use clap::{Args, ValueEnum};
use wiac_oci::manifest::Platform;
use wiac_oci::reference::Reference;
use wiac_store::LocalId;

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Policy {
    /// Where it isn't here
    #[default]
    Missing,
    /// Each time, and it is an error where that fails
    Always,
    /// Never
    Never,
    /// Where the registry has another one, or it isn't here
    Newer,
}

impl Policy {
    /// Reads what `build --pull` may be followed by: docker's true and false, podman's words.
    ///
    /// # Errors
    /// What there is.
    pub(crate) fn of_build(text: &str) -> Result<Self, &'static str> {
        match text {
            "true" | "always" => Ok(Self::Always),
            "false" | "missing" | "ifmissing" => Ok(Self::Missing),
            "never" => Ok(Self::Never),
            "newer" | "ifnewer" => Ok(Self::Newer),
            _ => Err("there are true, false, always, missing, never and newer"),
        }
    }
}

// Options of commands that use images; clap makes the help of the comments below.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Pulling {
    /// When to pull the image: missing, always, never, newer
    #[arg(long, value_name = "WHEN", value_enum, default_value = "missing")]
    pub(crate) pull: Policy,
    /// Of an image for several platforms, pull this one's
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub(crate) platform: Option<Platform>,
    #[command(flatten)]
    pub(crate) registry: RegistryOptions,
}

impl Pulling {
    /// Finds an image, pulled before where that is wanted.
    ///
    /// # Errors
    /// Where it is neither here nor can be pulled.
    pub(crate) fn locate(&self, data: &Data, text: &str) -> Result<Located, Failure> {
        let text = text.strip_prefix("docker://").unwrap_or(text);
        if let Some(id) = self.of_an_index(data, text)? {
            return locate(data, id.as_str());
        }
        if let Some(located) = self.in_files(data, text)? {
            return Ok(located);
        }
        // What lies in another tool's store is that tool's to pull; what is no name (an id) can't be.
        let is_name = wiac_foreign::parse(text).is_none() && text.parse::<Reference>().is_ok();
        if !is_name || self.pull == Policy::Never {
            return locate(data, text);
        }
        match (self.pull, find(data, text)) {
            (Policy::Missing | Policy::Never, Ok((id, record))) => stored(data, id, record),
            (Policy::Newer, Ok((id, _))) => match self.pull(data, text) {
                Ok(pulled) => Ok(pulled),
                // What is here serves as well.
                Err(failure) => {
                    eprintln!("wiac: {failure}; using {} as it is here", id.short());
                    locate(data, text)
                }
            },
            (Policy::Always, Ok(_)) => self.pull(data, text),
            (_, Err(error @ wiac_store::Error::NoSuchImage { .. })) => self
                .pull(data, text)
                .map_err(|failure| Failure::new(format!("{error}, and it can't be pulled: {failure}"))),
            (_, Err(error)) => Err(error.into()),
        }
    }

    /// An image in files comes into the store, as with wiac load. A name that is here is meant more likely.
    fn in_files(&self, data: &Data, text: &str) -> Result<Option<Located>, Failure> {
        let Some(inside) = place::inside(text).filter(|_| find(data, text).is_err()) else {
            return place::refuse_daemon(text).map(|()| None);
        };
        let platform = self.platform.clone().unwrap_or_else(Platform::host);
        let (loaded, _) = inside.load(data, &platform)?;
        locate(data, loaded.image.id.as_str()).map(Some)
    }

    /// Where a name stands for images of several platforms: the one for the platform that is asked for.
    fn of_an_index(&self, data: &Data, text: &str) -> Result<Option<LocalId>, Failure> {
        let Some(platform) = &self.platform else {
            return Ok(None);
        };
        if self.pull == Policy::Always {
            return Ok(None);
        }
        let Some(name) = data.store.find_index(text)? else {
            return Ok(None);
        };
        for id in [name.image].into_iter().chain(name.index.others) {
            if platform.takes(&Platform::of(&data.store.image(&id)?.config)) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    fn pull(&self, data: &Data, text: &str) -> Result<Located, Failure> {
        let client = self.registry.client(data.caller.uid);
        let platform = self.platform.clone().unwrap_or_else(Platform::host);
        let pulled = pull(data, &client, text, &platform, false)?;
        locate(data, pulled.image.id.as_str())
    }
}
