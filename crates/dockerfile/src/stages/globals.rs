//! The values that FROM sees: automatic ones and the ARGs before the first FROM.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind};
use crate::expand::{Expanded, Expander, Lookup};
use crate::model::{Dockerfile, Stage};

/// The values of global arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Globals {
    values: BTreeMap<String, String>,
    escape: char,
}

impl Globals {
    /// Evaluates the ARGs before the first FROM, in order.
    ///
    /// `automatic` are the arguments that need no ARG (`TARGETPLATFORM` and so on); `build_args` are the user's, which
    /// override both those and the defaults.
    pub fn new(
        dockerfile: &Dockerfile,
        automatic: impl IntoIterator<Item = (String, String)>,
        build_args: Lookup<'_>,
    ) -> Result<Self, Error> {
        let given = |name: String, value: String| {
            let value = build_args(&name).unwrap_or(value);
            (name, value)
        };
        let values = automatic.into_iter().map(|(name, value)| given(name, value)).collect();
        let mut globals = Self {
            values,
            escape: dockerfile.directives.escape,
        };
        for definition in dockerfile.global_args.iter().flat_map(|arg| &arg.kind.definitions) {
            let value = match (build_args(&definition.name.text), &definition.default) {
                (Some(value), _) => value,
                (None, Some(default)) => globals.expander(&globals.lookup()).word(default)?.text,
                (None, None) => continue,
            };
            globals.values.insert(definition.name.text.clone(), value);
        }
        Ok(globals)
    }

    /// The value of a global argument, for stages that declare it again without a default.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// All values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A stage's FROM image, expanded; that it is empty is an error.
    pub fn image(&self, stage: &Stage) -> Result<Expanded, Error> {
        let image = self.expander(&self.lookup()).word(&stage.from.image)?;
        if image.text.is_empty() {
            let kind = ErrorKind::BlankBase {
                word: stage.from.image.text.clone(),
                unset: image.undefined,
            };
            return Err(Error::new(kind, stage.from.image.span));
        }
        Ok(image)
    }

    /// A stage's platform, expanded, where it has one; that it is empty is an error.
    pub fn platform(&self, stage: &Stage) -> Result<Option<Expanded>, Error> {
        let Some(word) = &stage.from.platform else {
            return Ok(None);
        };
        let platform = self.expander(&self.lookup()).word(word)?;
        if platform.text.is_empty() {
            return Err(Error::new(
                ErrorKind::BlankPlatform {
                    word: word.text.clone(),
                    unset: platform.undefined,
                },
                word.span,
            ));
        }
        Ok(Some(platform))
    }

    /// The FROM images of all stages, expanded, as [`super::StageGraph::new`] wants them.
    pub fn images(&self, dockerfile: &Dockerfile) -> Result<Vec<String>, Error> {
        dockerfile
            .stages
            .iter()
            .map(|stage| Ok(self.image(stage)?.text))
            .collect()
    }

    fn lookup(&self) -> impl Fn(&str) -> Option<String> {
        |name| self.values.get(name).cloned()
    }

    fn expander<'l>(&self, lookup: Lookup<'l>) -> Expander<'l> {
        Expander::new(self.escape, lookup)
    }
}
