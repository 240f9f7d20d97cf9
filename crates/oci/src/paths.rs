//! Paths in JSON: text where they are UTF-8, else the list of their bytes, since JSON has no other text.
//!
//! For fields: `#[serde(with = "wiac_oci::paths::one")]`, `many`, `optional`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A path as it is written.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<&Path> for Written {
    fn from(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes(path.as_os_str().as_bytes().to_vec()),
        }
    }
}

impl From<Written> for PathBuf {
    fn from(written: Written) -> Self {
        match written {
            Written::Text(text) => Self::from(text),
            Written::Bytes(bytes) => Self::from(OsString::from_vec(bytes)),
        }
    }
}

/// A path.
#[allow(missing_docs, clippy::missing_errors_doc, reason = "serde's signatures")]
pub mod one {
    use super::{Deserialize, Deserializer, Path, PathBuf, Serialize, Serializer, Written};

    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        Written::from(path).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Written::deserialize(deserializer).map(PathBuf::from)
    }
}

/// A list of paths.
#[allow(missing_docs, clippy::missing_errors_doc, reason = "serde's signatures")]
pub mod many {
    use super::{Deserialize, Deserializer, PathBuf, Serializer, Written};

    pub fn serialize<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(paths.iter().map(|path| Written::from(path.as_path())))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
        let written = Vec::<Written>::deserialize(deserializer)?;
        Ok(written.into_iter().map(PathBuf::from).collect())
    }
}

/// A path that may be missing.
#[allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::ref_option,
    reason = "serde's signatures"
)]
pub mod optional {
    use super::{Deserialize, Deserializer, PathBuf, Serialize, Serializer, Written};

    pub fn serialize<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_deref().map(Written::from).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
        Option::<Written>::deserialize(deserializer).map(|path| path.map(PathBuf::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Places {
        #[serde(with = "one")]
        place: PathBuf,
        #[serde(with = "many")]
        more: Vec<PathBuf>,
        #[serde(default, with = "optional")]
        other: Option<PathBuf>,
    }

    #[test]
    fn what_is_text_stays_text() {
        let odd = PathBuf::from(OsString::from_vec(b"/l\xe9".to_vec()));
        let places = Places {
            place: odd.clone(),
            more: vec![PathBuf::from("/text"), odd],
            other: None,
        };
        let text = serde_json::to_string(&places).expect("JSON");
        assert_eq!(
            text,
            r#"{"place":[47,108,233],"more":["/text",[47,108,233]],"other":null}"#
        );
        assert_eq!(serde_json::from_str::<Places>(&text).expect("read"), places);
        let missing: Places = serde_json::from_str(r#"{"place":"/a","more":[]}"#).expect("read");
        assert_eq!((missing.place, missing.other), (PathBuf::from("/a"), None));
    }
}
