//! The umask is the whole process's: a test of its own program.

use std::os::unix::fs::PermissionsExt;
use wiac_layer::Form;
use wiac_store::Store;
use wiac_store::layer::Draft;

#[test]
fn a_new_root_is_for_everybody() {
    let directory = tempfile::tempdir().expect("tempdir");
    let store = Store::open(&directory.path().join("data"), Form::Trusted).expect("store");
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let draft = Draft::new(&store).expect("draft");
    let mode = std::fs::metadata(draft.diff()).expect("stat").permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
}
