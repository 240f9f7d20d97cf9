//! Stages and what they need of each other: by name, by number, and as far as a target reaches.

mod globals;

#[cfg(test)]
mod tests;

pub use globals::Globals;

use crate::error::{Error, ErrorKind};
use crate::instruction::Kind;
use crate::model::{Dockerfile, Stage, Word};
use crate::span::Span;
use wiac_suggest::nearest;

/// What FROM, `--from` or `from=` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A stage of the Dockerfile, by its number.
    Stage(usize),
    /// Something else: a named context, an image, `scratch` or `bundle://…`.
    Other(String),
}

/// Which stage needs which.
#[derive(Debug, Clone)]
pub struct StageGraph<'a> {
    dockerfile: &'a Dockerfile,
    bases: Vec<Source>,
    needs: Vec<Vec<Need>>,
}

/// One stage that another needs, and where that is said.
#[derive(Debug, Clone, Copy)]
struct Need {
    stage: usize,
    span: Span,
}

impl Dockerfile {
    /// The stage with this name, in any case, or with this number.
    pub fn find_stage(&self, name: &str) -> Option<&Stage> {
        // Of stages that share a name the last counts.
        let named = self
            .stages
            .iter()
            .rev()
            .find(|stage| stage.name.as_deref().is_some_and(|own| same(own, name)));
        named.or_else(|| self.stages.get(name.parse::<usize>().ok()?))
    }

    /// The stage to build: the one asked for, or the last. An unknown one is an error with the nearest name.
    pub fn target(&self, name: Option<&str>) -> Result<usize, Error> {
        let Some(name) = name else {
            return Ok(self.stages.len().saturating_sub(1));
        };
        if let Some(stage) = self.find_stage(name) {
            return Ok(stage.index);
        }
        let names = self.stages.iter().filter_map(|stage| stage.name.as_deref());
        let nearest = nearest(name, names).map(str::to_owned);
        Err(Error::without_place(ErrorKind::UnknownStage {
            name: name.to_owned(),
            nearest,
        }))
    }

    /// What the word of `--from` or `from=` names. A number beyond the last stage is an error.
    pub fn source(&self, word: &Word) -> Result<Source, Error> {
        if let Some(stage) = self.find_stage(&word.text) {
            return Ok(Source::Stage(stage.index));
        }
        match word.text.parse::<usize>() {
            Ok(number) => Err(Error::new(
                ErrorKind::StageNumber {
                    number,
                    count: self.stages.len(),
                },
                word.span,
            )),
            Err(_) => Ok(Source::Other(word.text.clone())),
        }
    }
}

impl Kind {
    /// What the instruction takes files from: of COPY `--from`, of RUN each mount's `from`. ONBUILD takes nothing yet.
    pub fn sources(&self) -> Vec<Word> {
        match self {
            Self::Copy(copy) => copy.from.iter().cloned().collect(),
            Self::Run(run) => {
                let word = |from: &str, span| Word {
                    text: from.to_owned(),
                    span,
                };
                run.mounts
                    .iter()
                    .filter_map(|mount| Some(word(mount.from()?, mount.span)))
                    .collect()
            }
            _ => Vec::new(),
        }
    }
}

impl<'a> StageGraph<'a> {
    /// Finds what each stage needs. `images` are the stages' FROM images, expanded, in order (see [`Globals`]).
    ///
    /// Stages that depend on each other or on themselves are an error. What a base *image* records with ONBUILD is not
    /// seen here.
    pub fn new(dockerfile: &'a Dockerfile, images: &[String]) -> Result<Self, Error> {
        let bases: Vec<Source> = images
            .iter()
            .enumerate()
            .map(|(at, image)| base(dockerfile, at, image))
            .collect();
        let needs = dockerfile
            .stages
            .iter()
            .zip(&bases)
            .map(|(stage, base)| needs(dockerfile, stage, base));
        let graph = Self {
            dockerfile,
            needs: needs.collect::<Result<_, _>>()?,
            bases,
        };
        graph.refuse_cycles()?;
        Ok(graph)
    }

    /// What a stage starts from.
    pub fn base(&self, stage: usize) -> &Source {
        &self.bases[stage]
    }

    /// The stages a stage needs, in order, each once.
    pub fn dependencies(&self, stage: usize) -> Vec<usize> {
        let mut stages: Vec<usize> = self.needs[stage].iter().map(|need| need.stage).collect();
        stages.sort_unstable();
        stages.dedup();
        stages
    }

    /// The stages to build for a target, itself included, each after all it needs.
    ///
    /// One that takes files from a stage defined later is an error.
    pub fn reachable(&self, target: usize) -> Result<Vec<usize>, Error> {
        let mut reached = vec![false; self.needs.len()];
        let mut open = vec![target];
        while let Some(stage) = open.pop() {
            if std::mem::replace(&mut reached[stage], true) {
                continue;
            }
            if let Some(need) = self.needs[stage].iter().find(|need| need.stage > stage) {
                let name = |at: usize| self.dockerfile.stages[at].display_name();
                let kind = ErrorKind::ForwardReference {
                    stage: name(stage),
                    source_stage: name(need.stage),
                };
                return Err(Error::new(kind, need.span));
            }
            open.extend(self.needs[stage].iter().map(|need| need.stage));
        }
        // Needs point backwards only, so the order of the file is a building order.
        Ok((0..reached.len()).filter(|stage| reached[*stage]).collect())
    }

    /// An error if a stage needs itself, directly or through others.
    fn refuse_cycles(&self) -> Result<(), Error> {
        let mut done = vec![false; self.needs.len()];
        for start in 0..self.needs.len() {
            // The way from `start`, each stage with the next of its needs to follow.
            let mut way = vec![(start, 0)];
            while let Some((stage, next)) = way.last_mut() {
                let (stage, at) = (*stage, *next);
                *next += 1;
                let Some(need) = self.needs[stage].get(at).filter(|_| !done[stage]) else {
                    done[stage] = true;
                    way.pop();
                    continue;
                };
                if let Some(from) = way.iter().position(|(stage, _)| *stage == need.stage) {
                    return Err(self.cycle(&way[from..], need));
                }
                way.push((need.stage, 0));
            }
        }
        Ok(())
    }

    fn cycle(&self, way: &[(usize, usize)], need: &Need) -> Error {
        let stages = way.iter().map(|(stage, _)| *stage).chain([need.stage]);
        let stages = stages
            .map(|stage| self.dockerfile.stages[stage].display_name())
            .collect();
        Error::new(ErrorKind::Cycle { stages }, need.span)
    }
}

/// What the stage at `index` starts from: an earlier stage of that name, or something else.
fn base(dockerfile: &Dockerfile, index: usize, image: &str) -> Source {
    let mut earlier = dockerfile.stages[..index].iter().rev();
    let found = earlier.find(|stage| stage.name.as_deref().is_some_and(|name| same(name, image)));
    found.map_or_else(|| Source::Other(image.to_owned()), |stage| Source::Stage(stage.index))
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// All that a stage needs: its base, what it copies or mounts from, and what its base's ONBUILD adds.
fn needs(dockerfile: &Dockerfile, stage: &Stage, base: &Source) -> Result<Vec<Need>, Error> {
    let mut needs = Vec::new();
    let mut words: Vec<Word> = stage
        .instructions
        .iter()
        .flat_map(|instruction| instruction.kind.sources())
        .collect();
    if let Source::Stage(index) = base {
        needs.push(Need {
            stage: *index,
            span: stage.span,
        });
        let recorded = dockerfile.stages[*index].instructions.iter();
        words.extend(recorded.flat_map(|instruction| match &instruction.kind {
            Kind::OnBuild(on_build) => on_build.instruction.kind.sources(),
            _ => Vec::new(),
        }));
    }
    for word in words {
        if let Source::Stage(index) = dockerfile.source(&word)? {
            needs.push(Need {
                stage: index,
                span: word.span,
            });
        }
    }
    Ok(needs)
}
