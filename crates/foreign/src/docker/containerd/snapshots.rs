//! Where an image's layers are unpacked: names of snapshots by chain ids, and numbers of directories by names.

use super::{Containerd, Named};
use crate::bolt::{Bucket, Database};
use crate::error::{Error, Result};
use wiac_oci::digest::{ChainId, DiffId};

/// The snapshotter's directory below containerd's root.
pub(super) const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1.overlayfs";
/// A committed snapshot (containerd, core/snapshots/snapshotter.go, `KindCommitted`).
const COMMITTED: u8 = 3;
const UNPACK: &str = "start a container of it with its own tool once, which unpacks it, or save it there and load that";

impl Containerd {
    /// What the snapshotter calls the snapshots of an image, base first.
    pub(super) fn snapshot_names(&self, image: &Named, diff_ids: &[DiffId]) -> Result<Vec<Vec<u8>>> {
        let chains = (1..=diff_ids.len()).filter_map(|count| ChainId::of(&diff_ids[..count]));
        let chains: Vec<_> = chains.map(|chain| chain.to_string()).collect();
        self.metadata.read(|root| {
            let all = root.descend(&[b"v1", image.namespace.as_bytes(), b"snapshots"])?;
            let overlayfs = all.as_ref().map(|all| all.bucket(b"overlayfs")).transpose()?.flatten();
            let mut names = Vec::new();
            for chain in &chains {
                let record = overlayfs
                    .as_ref()
                    .map(|bucket| bucket.bucket(chain.as_bytes()))
                    .transpose()?
                    .flatten();
                let Some(record) = record else {
                    return Err(self.not_unpacked(image, all.as_ref(), chain)?);
                };
                if is_mapped(&record)? {
                    let what = format!(
                        "layer {chain} of image {} has the ids of another user namespace",
                        image.name
                    );
                    return Err(Error::unsupported(&self.root, what, UNPACK));
                }
                names.extend(record.value(b"name")?);
            }
            Ok(names)
        })
    }

    /// The error of a layer without an overlayfs snapshot: another snapshotter may have it.
    fn not_unpacked(&self, image: &Named, all: Option<&Bucket<'_>>, chain: &str) -> Result<Error> {
        for (snapshotter, bucket) in all.map(Bucket::buckets).transpose()?.unwrap_or_default() {
            if bucket.bucket(chain.as_bytes())?.is_some() {
                let snapshotter = String::from_utf8_lossy(&snapshotter).into_owned();
                let what = format!(
                    "image {} is unpacked by the snapshotter {snapshotter}, not overlayfs",
                    image.name
                );
                return Ok(Error::unsupported(
                    &self.root,
                    what,
                    "save it with its own tool and load that",
                ));
            }
        }
        let what = format!("image {} isn't unpacked", image.name);
        Ok(Error::unsupported(&self.root, what, UNPACK))
    }

    /// The snapshots' numbers, and the recorded sizes of their files.
    pub(super) fn snapshots(&self, names: &[Vec<u8>]) -> Result<Vec<(u64, Option<u64>)>> {
        let path = self.root.join(SNAPSHOTTER).join("metadata.db");
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let database = Database::open(&path)?.ok_or_else(|| Error::damaged(&path, "it is missing"))?;
        database.read(|root| {
            let mut snapshots = Vec::new();
            for name in names {
                let shown = String::from_utf8_lossy(name);
                let record = root.descend(&[b"v1", b"snapshots", name])?;
                let record = record.ok_or_else(|| Error::damaged(&path, format!("snapshot {shown} isn't listed")))?;
                if record.value(b"kind")?.as_deref() != Some(&[COMMITTED]) {
                    return Err(Error::damaged(&path, format!("snapshot {shown} isn't committed")));
                }
                let number = record.value(b"id")?.and_then(|bytes| unsigned(&bytes));
                let number = number.ok_or_else(|| Error::damaged(&path, format!("snapshot {shown} has no number")))?;
                let size = record.value(b"size")?.and_then(|bytes| unsigned(&bytes)).map(unzigzag);
                snapshots.push((number, size.and_then(|size| u64::try_from(size).ok())));
            }
            Ok(snapshots)
        })
    }
}

/// Whether a snapshot's owners were shifted for a user namespace.
fn is_mapped(record: &Bucket<'_>) -> Result<bool> {
    let labels = record.bucket(b"labels")?;
    let label = labels
        .map(|labels| labels.value(b"containerd.io/snapshot/uidmapping"))
        .transpose()?;
    Ok(label.flatten().is_some())
}

/// A number in Go's variable-length encoding (encoding/binary, `Uvarint`).
fn unsigned(bytes: &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        value |= bits.checked_mul(1u64.checked_shl(u32::try_from(7 * at).ok()?)?)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The signed number that an unsigned one stands for (encoding/binary, `Varint`).
fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (bytes, expected) in [
            (&[0x05][..], Some(5)),
            (&[0x80, 0x01], Some(128)),
            (&[0xff; 9], None),
            (&[0xff; 11], None),
            (&[], None),
        ] {
            assert_eq!(unsigned(bytes), expected, "{bytes:?}");
        }
        assert_eq!(unzigzag(0x2000), 4096);
        assert_eq!(unzigzag(1), -1);
    }
}
