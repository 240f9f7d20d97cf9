//! The names of the checks.

/// Makes the enum of checks and the table of their names.
macro_rules! rules {
    ($($rule:ident => $about:literal,)*) => {
        /// A check. Its name is that of docker's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $about] $rule,)*
        }

        impl Rule {
            /// All checks, also those made elsewhere.
            pub const ALL: &[Self] = &[$(Self::$rule),*];

            /// The name, as used in `# check=skip=`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$rule => stringify!($rule)),* }
            }

            /// What the check asks for.
            pub fn about(self) -> &'static str {
                match self { $(Self::$rule => $about),* }
            }
        }
    };
}

rules! {
    StageNameCasing => "Stage names are lower case.",
    FromAsCasing => "AS is written in the case of FROM.",
    NoEmptyContinuation => "A continued instruction has no empty lines in it.",
    ConsistentInstructionCasing => "All instructions are written in upper case, or all in lower case.",
    DuplicateStageName => "No two stages share a name.",
    ReservedStageName => "No stage is called scratch or context.",
    JSONArgsRecommended => "CMD and ENTRYPOINT are JSON arrays, so that signals reach the program.",
    MaintainerDeprecated => "The author is a label, not MAINTAINER.",
    UndefinedArgInFrom => "FROM uses arguments declared before it.",
    WorkdirRelativePath => "The first WORKDIR is absolute.",
    UndefinedVar => "Variables are defined before they are used.",
    MultipleInstructionsDisallowed => "A stage has one CMD, ENTRYPOINT and HEALTHCHECK.",
    LegacyKeyValueFormat => "ENV and LABEL are written key=value.",
    InvalidBaseImagePlatform => "The base image has the platform that was asked for.",
    RedundantTargetPlatform => "FROM does not ask for the platform it has anyway.",
    SecretsUsedInArgOrEnv => "Secrets are mounted, not put into ARG or ENV.",
    InvalidDefaultArgInFrom => "FROM names a valid image also without build arguments.",
    FromPlatformFlagConstDisallowed => "FROM does not fix a platform.",
    CopyIgnoredFile => "COPY and ADD take no files that .dockerignore leaves out.",
    InvalidDefinitionDescription => "A comment right above a named FROM or an ARG describes it.",
    ExposeProtoCasing => "EXPOSE writes protocols in lower case.",
    ExposeInvalidFormat => "EXPOSE names no addresses and no ports of the host.",
}

impl Rule {
    /// Whether the check runs only where it is asked for.
    pub fn is_experimental(self) -> bool {
        self == Self::InvalidDefinitionDescription
    }
}
