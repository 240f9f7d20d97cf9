//! The files a container resolves names and addresses with: resolv.conf, hosts, hostname.

use crate::error::{IoExt, Result};
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What stands in the container's /etc/hosts beside its own name where it doesn't share the host's network.
const LOCALHOST: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// The names of the three files, in the container's /etc and in the directory they are written to.
pub(crate) const NAMES: [&str; 3] = ["resolv.conf", "hosts", "hostname"];

/// Writes the three files into `directory`: copies, so that a container that changes them changes nothing else.
/// `more`: further names with their addresses.
pub(crate) fn write(directory: &Path, hostname: &str, host_network: bool, more: &[(String, String)]) -> Result<()> {
    let hosts = if host_network { host_file("/etc/hosts")? } else { None };
    let mut hosts = hosts.unwrap_or_else(|| format!("{LOCALHOST}127.0.1.1\t{hostname}\n"));
    if !hosts.ends_with('\n') {
        hosts.push('\n');
    }
    for (name, address) in more {
        let _ = writeln!(hosts, "{address}\t{name}");
    }
    let texts = [
        host_file("/etc/resolv.conf")?.unwrap_or_default(),
        hosts,
        format!("{hostname}\n"),
    ];
    for (name, text) in NAMES.iter().zip(texts) {
        write_file(&directory.join(name), text.as_bytes())?;
    }
    Ok(())
}

fn write_file(path: &Path, text: &[u8]) -> Result<()> {
    let mut file = File::create(path).on("write", path)?;
    file.write_all(text).on("write", path)?;
    // Whatever umask the caller has: users of the container read them too.
    file.set_permissions(Permissions::from_mode(0o644)).on("protect", path)
}

/// A file of the host, where it has one that its user may read.
fn host_file(path: &str) -> Result<Option<String>> {
    let path = Path::new(path);
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(None),
        Err(error) => Err(error).on("read", path),
    }
}

/// The host's own name.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
