//! Static programs, and scripts by the kernel's rules.

mod common;

use common::{Tree, elf, files, program};
use wiac_loader::{Error, NeedKind};

#[test]
fn static_programs_need_nothing() {
    let tree = Tree::empty().elf("/bin/p", &elf());
    assert_eq!(files(&tree.closure("p")), ["/bin/p"]);
}

#[test]
fn scripts_and_what_env_starts() {
    let tree = Tree::new()
        .elf("/bin/sh", &program().needs("liba.so"))
        .elf("/bin/env", &program())
        .link("/usr/bin/env", "../../bin/env")
        .elf("/usr/bin/tool", &program())
        .elf("/lib/liba.so", &elf())
        .file("/bin/script", "#! /bin/sh -e\n")
        .file("/bin/nested", "#!/bin/script\n")
        .file("/bin/e", "#!/usr/bin/env -S X=1 tool -v\n");
    assert_eq!(tree.libraries("nested"), ["/bin/script", "/bin/sh", "/lib/liba.so"]);
    assert_eq!(tree.libraries("e"), ["/bin/env", "/usr/bin/tool"]);
    let closure = tree.closure("e");
    let kinds: Vec<_> = closure.objects[closure.programs[0].object]
        .needs
        .iter()
        .map(|need| need.kind)
        .collect();
    assert_eq!(kinds, [NeedKind::Script, NeedKind::Env]);
}

#[test]
fn five_scripts_but_not_six() {
    let mut tree = Tree::empty().elf("/p0", &elf());
    for level in 1..=6 {
        tree = tree.file(&format!("/p{level}"), format!("#!/p{}\n", level - 1));
    }
    assert_eq!(files(&tree.closure("/p5")).len(), 6);
    assert!(matches!(tree.try_closure("/p6"), Err(Error::Script { .. })));
    let tree = tree.file("/loop", "#!/loop\n");
    assert!(matches!(tree.try_closure("/loop"), Err(Error::Script { .. })));
}
