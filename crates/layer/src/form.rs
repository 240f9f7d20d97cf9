//! Which attributes overlayfs marks deletions with.

/// The form of a layer's marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// `trusted.overlay.*`, as root.
    Trusted,
    /// `user.overlay.*`, in a user namespace.
    User,
}

impl Form {
    /// As it is written: `trusted` or `user`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::User => "user",
        }
    }

    /// The name of one of overlayfs's attributes in this form.
    pub fn attribute(self, name: &str) -> String {
        format!("{}.overlay.{name}", self.word())
    }
}
