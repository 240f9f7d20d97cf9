//! What can be wrong with a Dockerfile, said in one line or drawn with the source.

use std::collections::BTreeSet;
use std::fmt;

use crate::excerpt;
use crate::expand;
use crate::span::Span;

/// An error and the place it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Where; `None` where no line of the file is to blame.
    pub span: Option<Span>,
}

impl Error {
    /// An error about a part of the source.
    pub fn new(kind: ErrorKind, span: Span) -> Self {
        Self { kind, span: Some(span) }
    }

    /// An error about no line in particular.
    pub fn without_place(kind: ErrorKind) -> Self {
        Self { kind, span: None }
    }

    /// `file:line: what is wrong`, in one line and free of control characters.
    pub fn one_line(&self, file_name: &str) -> String {
        let file = excerpt::sanitise(file_name);
        // Names stand there as they were typed.
        let kind = excerpt::sanitise(&self.kind.to_string());
        match self.span {
            Some(span) => format!("{file}:{}:{}: {kind}", span.first_line, span.column),
            None => format!("{file}: {kind}"),
        }
    }

    /// The one-line form, the line it is about with the place underlined, and a hint where there is one.
    ///
    /// `source` is what was parsed. The text ends with a line feed.
    pub fn render(&self, file_name: &str, source: &[u8]) -> String {
        let mut text = self.one_line(file_name);
        text.push('\n');
        if let Some(span) = self.span {
            text.push_str(&excerpt::excerpt(span, source));
        }
        if let Some(hint) = self.kind.hint() {
            text.push_str("hint: ");
            text.push_str(&excerpt::sanitise(&hint));
            text.push('\n');
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = excerpt::sanitise(&self.kind.to_string());
        match self.span {
            Some(span) => write!(f, "line {}: {kind}", span.first_line),
            None => f.write_str(&kind),
        }
    }
}

impl std::error::Error for Error {}

/// What is wrong. What was typed is shown quoted and escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// Nothing in the file.
    #[error("the Dockerfile is empty")]
    Empty,
    /// Comments and blank lines only.
    #[error("the Dockerfile has no instructions")]
    NoInstructions,
    /// Instructions, but no FROM.
    #[error("the Dockerfile has no FROM instruction")]
    NoStages,
    /// A NUL, or bytes that are no UTF-8.
    #[error("this is not text in UTF-8")]
    NotText,
    /// A line over the limit.
    #[error("this line has {length} bytes; the limit is 65535")]
    LineTooLong {
        /// Its length.
        length: usize,
    },
    /// A parser directive given twice.
    #[error("the directive {name} is given twice")]
    RepeatedDirective {
        /// Its name.
        name: String,
    },
    /// An escape character that is none.
    #[error("the escape character is \\ or `, not {value:?}")]
    BadEscape {
        /// What was given.
        value: String,
    },
    /// A frontend other than the Dockerfile language.
    #[error("the frontend {image:?} is not supported: only versions of docker/dockerfile are")]
    ForeignSyntax {
        /// The frontend's image.
        image: String,
    },
    /// An option of `check=` that does not exist or has no valid value.
    #[error("invalid check option {option:?}")]
    BadCheckOption {
        /// The option.
        option: String,
    },
    /// A first word that names no instruction.
    #[error("unknown instruction {word:?}{}", did_you_mean(*.nearest))]
    UnknownInstruction {
        /// The word.
        word: String,
        /// The nearest instruction.
        nearest: Option<&'static str>,
    },
    /// An instruction before the first FROM that can't be there.
    #[error("{name} stands before the first FROM")]
    BeforeFrom {
        /// The instruction.
        name: &'static str,
    },
    /// Arguments that are missing or too many.
    #[error("{name} needs {wants}")]
    Arguments {
        /// The instruction.
        name: &'static str,
        /// What it needs.
        wants: &'static str,
    },
    /// A heredoc whose end word never comes.
    #[error("the heredoc {word:?} is never ended")]
    UnterminatedHeredoc {
        /// The word that would end it.
        word: String,
    },
    /// A heredoc as destination of COPY or ADD.
    #[error("the destination of {name} cannot be a heredoc")]
    HeredocDestination {
        /// The instruction.
        name: &'static str,
    },
    /// A JSON array that holds something else than strings.
    #[error("the JSON array of {name} holds something that is not a string")]
    NotStrings {
        /// The instruction.
        name: &'static str,
    },
    /// The shell form where only the JSON form is allowed.
    #[error("{name} needs a JSON array of strings")]
    NotJson {
        /// The instruction.
        name: &'static str,
    },
    /// A flag the instruction does not have.
    #[error("{name} has no flag --{flag}{}", did_you_mean_flag(*.nearest))]
    UnknownFlag {
        /// The instruction.
        name: &'static str,
        /// The flag, dashes left out.
        flag: String,
        /// The nearest flag.
        nearest: Option<&'static str>,
    },
    /// A flag given twice that can be given once.
    #[error("--{flag} is given twice")]
    RepeatedFlag {
        /// The flag.
        flag: &'static str,
    },
    /// A flag with a value that is missing or wrong.
    #[error("--{flag} needs {wants}{}", got(.value.as_deref()))]
    BadFlagValue {
        /// The flag.
        flag: &'static str,
        /// What it needs.
        wants: &'static str,
        /// What it got.
        value: Option<String>,
    },
    /// A word without `=` among pairs.
    #[error("{name} wants key=value, but {word:?} has no =")]
    NoEquals {
        /// The instruction.
        name: &'static str,
        /// The word.
        word: String,
    },
    /// A pair without a name.
    #[error("a name is missing before = in {name}")]
    BlankName {
        /// The instruction.
        name: &'static str,
    },
    /// A stage name of the wrong form.
    #[error("{word:?} is not a valid stage name")]
    BadStageName {
        /// The name.
        word: String,
    },
    /// An instruction that ONBUILD can't record.
    #[error("{name} is not allowed after ONBUILD")]
    BadTrigger {
        /// The instruction.
        name: &'static str,
    },
    /// A recorded ONBUILD text that is not exactly one instruction.
    #[error("a recorded ONBUILD text must be one instruction")]
    TriggerCount,
    /// A variable in `from`.
    #[error("variables are not expanded in {place}")]
    VariableInFrom {
        /// `--from` or `--mount from=`.
        place: &'static str,
    },
    /// A field of a CSV value.
    #[error("{flag}: {problem}")]
    BadField {
        /// The flag.
        flag: &'static str,
        /// What is wrong with which field.
        problem: String,
    },
    /// An expansion.
    #[error(transparent)]
    Expand(#[from] expand::ErrorKind),
    /// A base that expands to nothing.
    #[error("the base image {word:?} expands to nothing")]
    BlankBase {
        /// The image as written.
        word: String,
        /// Its variables that have no value.
        unset: BTreeSet<String>,
    },
    /// A platform that expands to nothing.
    #[error("the platform {word:?} expands to nothing")]
    BlankPlatform {
        /// The platform as written.
        word: String,
        /// Its variables that have no value.
        unset: BTreeSet<String>,
    },
    /// A target that is no stage.
    #[error("there is no stage {name:?}{}", did_you_mean(.nearest.as_deref()))]
    UnknownStage {
        /// The name or number asked for.
        name: String,
        /// The nearest name.
        nearest: Option<String>,
    },
    /// A number of a stage beyond the last.
    #[error("there is no stage {number}: the Dockerfile has {count}, counted from 0")]
    StageNumber {
        /// The number asked for.
        number: usize,
        /// How many stages there are.
        count: usize,
    },
    /// A source stage that is defined later.
    #[error("stage {stage:?} uses stage {source_stage:?}, which is defined later")]
    ForwardReference {
        /// The stage with the instruction.
        stage: String,
        /// The stage it names.
        source_stage: String,
    },
    /// Stages that depend on each other.
    #[error("stages depend on each other: {}", .stages.join(" → "))]
    Cycle {
        /// The stages in order, the first again at the end.
        stages: Vec<String>,
    },
}

impl ErrorKind {
    /// What to do about it, where there is something to say that the message does not.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotText => "is this the right file? A Dockerfile is plain text",
            Self::ForeignSyntax { .. } => "remove the syntax line, or build with the tool the frontend is made for",
            Self::BeforeFrom { .. } => "only ARG and comments may stand before the first FROM",
            Self::NoStages => "start with FROM, for example: FROM alpine",
            Self::UnterminatedHeredoc { .. } => {
                "end it with the word alone on a line, without white space around it (<<- allows leading tabs)"
            }
            Self::NotStrings { .. } => "put every element in double quotes",
            Self::NotJson { .. } => r#"for example: ["/bin/sh", "-c"]"#,
            Self::BadStageName { .. } => "names start with a letter and go on with letters, digits, - _ .",
            Self::VariableInFrom { .. } => {
                "make a stage with FROM, where ARGs from before the first FROM are expanded, and name that stage"
            }
            Self::NoEquals { .. } => "quote values that hold spaces",
            Self::ForwardReference { .. } => "move the source stage above the one that uses it",
            Self::Expand(kind) => return kind.hint().map(str::to_owned),
            Self::BlankBase { unset, .. } | Self::BlankPlatform { unset, .. } => return unset_hint(unset),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// What to do where FROM names variables without a value.
pub fn unset_hint(unset: &BTreeSet<String>) -> Option<String> {
    let names: Vec<&str> = unset.iter().map(String::as_str).collect();
    let has = if names.len() > 1 { "have" } else { "has" };
    let first = names.first()?;
    Some(format!(
        "{} {has} no value: pass --build-arg {first}=VALUE; its ARG has to stand before the first FROM",
        names.join(", ")
    ))
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest
        .map(|word| format!(" (did you mean {word}?)"))
        .unwrap_or_default()
}

fn did_you_mean_flag(nearest: Option<&str>) -> String {
    nearest
        .map(|word| format!(" (did you mean --{word}?)"))
        .unwrap_or_default()
}

fn got(value: Option<&str>) -> String {
    value.map(|value| format!(", not {value:?}")).unwrap_or_default()
}
