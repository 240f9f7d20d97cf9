//! RUN `--mount`: the fields as written, and the typed mount they stand for.

use crate::span::Span;

/// A `--mount` as written. [`RunMount::resolve`] expands its values and types them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMount {
    /// The whole value of the flag.
    pub raw: String,
    /// Its fields in order.
    pub fields: Vec<MountField>,
    /// Where the flag stands.
    pub span: Span,
}

impl RunMount {
    /// The value of `from`: a stage, a named context or an image; never holds variables.
    pub fn from(&self) -> Option<&str> {
        let last = self.fields.iter().rev().find(|field| field.key == "from")?;
        last.value.as_deref().filter(|from| !from.is_empty())
    }
}

/// A field of a `--mount`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountField {
    /// The key, lower-cased.
    pub key: String,
    /// The value, unexpanded; `None` for a key that stands alone.
    pub value: Option<String>,
}

/// A mount with its values expanded and its defaults filled in.
///
/// A `target` that is relative (or empty) is under the working directory; `/` itself is forbidden, which only the
/// builder can tell once the working directory is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// Files of the build context, a stage, a named context or an image.
    Bind {
        /// Where from; `None` is the build context.
        from: Option<String>,
        /// The path in it.
        source: String,
        /// Where to.
        target: String,
        /// Writing fails; otherwise what is written is thrown away.
        read_only: bool,
    },
    /// A directory kept between builds.
    Cache {
        /// Its identity; `None` means the cleaned target.
        id: Option<String>,
        /// Where its first content comes from; `None` is empty.
        from: Option<String>,
        /// The path in `from`.
        source: String,
        /// Where to.
        target: String,
        /// Writing fails.
        read_only: bool,
        /// What several builds at once do.
        sharing: Sharing,
        /// Mode of the directory where it is made; 0755 by default.
        mode: Option<u32>,
        /// Owner of the directory where it is made; 0 by default.
        uid: Option<u32>,
        /// Group of the directory where it is made; 0 by default.
        gid: Option<u32>,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// Where to.
        target: String,
        /// Its limit in bytes; 0 means none.
        size: u64,
        /// Writing fails.
        read_only: bool,
    },
    /// A secret, as a file or a variable. It must reach no layer, no history and no cache key.
    Secret {
        /// Which secret: `id`, `source`, or the last component of the target.
        id: String,
        /// The file; `None` where only a variable is wanted.
        target: Option<String>,
        /// The variable.
        env: Option<String>,
        /// Its absence is an error.
        required: bool,
        /// Mode of the file.
        mode: u32,
        /// Owner of the file.
        uid: u32,
        /// Group of the file.
        gid: u32,
    },
    /// The socket of an SSH agent.
    Ssh {
        /// Which agent.
        id: String,
        /// Where to; `None` leaves it to the builder.
        target: Option<String>,
        /// Its absence is an error.
        required: bool,
        /// Mode of the socket.
        mode: u32,
        /// Owner of the socket.
        uid: u32,
        /// Group of the socket.
        gid: u32,
    },
}

/// What several builds do that use one cache mount at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// All write to it.
    #[default]
    Shared,
    /// A second one gets a cache of its own.
    Private,
    /// A second one waits.
    Locked,
}
