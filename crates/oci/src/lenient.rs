//! Serde helpers for documents written by Go programs: `null` for an empty list or map, sets written as objects.

use serde::{Deserialize, Deserializer};

/// Reads a value where `null` means the same as a missing field.
pub fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// True for a false flag: it is left out on writing.
// Serde hands a reference to whatever `skip_serializing_if` names.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A set of names written as an object with empty values, as `ExposedPorts` and `Volumes` are.
pub mod object_set {
    use std::collections::{BTreeMap, BTreeSet};

    use serde::ser::SerializeMap;
    use serde::{Deserialize, Deserializer, Serializer};
    use serde_json::{Map, Value};

    /// Writes each name with an empty object.
    pub fn serialize<S: Serializer>(set: &BTreeSet<String>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(set.len()))?;
        for name in set {
            map.serialize_entry(name, &Map::new())?;
        }
        map.end()
    }

    /// Reads the names; `null` is the empty set and the values are ignored.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
        let map = Option::<BTreeMap<String, Value>>::deserialize(deserializer)?;
        Ok(map.unwrap_or_default().into_keys().collect())
    }
}
