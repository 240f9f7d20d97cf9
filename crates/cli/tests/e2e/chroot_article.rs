//! The first article, replayed: an empty root, a program alone, a program with all it needs.

use crate::harness::{Place, as_users, programs};

/// chroot(8) needs root, whoever made the directory.
fn chroot(place: &Place, root: &str, command: &str) -> crate::harness::call::Call {
    place.host(&format!("exec chroot {root} {command}"))
}

as_users!(an_empty_root_has_no_shell: root, user, single);
fn an_empty_root_has_no_shell(place: &Place) {
    place.mkdir("target");
    place
        .wiac(["run", "./target", "./layer", "/bin/bash"])
        .fails(127)
        .explains(&["/bin/bash does not exist"]);
}

as_users!(a_program_alone_lacks_its_loader: root, user, single);
fn a_program_alone_lacks_its_loader(place: &Place) {
    place.take("/bin/bash".as_ref(), "target/bin/bash");
    let said = place.wiac(["run", "./target", "./layer", "/bin/bash"]).fails(127);
    said.explains(&["/bin/bash is there, but its dynamic loader can't be used", "ld-linux"]);
}

as_users!(a_static_program_needs_nothing_else: root, user, single);
fn a_static_program_needs_nothing_else(place: &Place) {
    place.mkdir("target");
    place.compile(programs::GREETER, "target/app");
    chroot(place, "target", "/app")
        .succeeds()
        .says("greetings from a small root");
    place
        .wiac(["run", "./target", "./layer", "/app"])
        .succeeds()
        .says("greetings from a small root");
}

as_users!(a_dynamic_program_needs_its_libraries: root, user, single);
fn a_dynamic_program_needs_its_libraries(place: &Place) {
    place.mkdir("target");
    place.compile_with(&[], programs::GREETER, "target/app");
    chroot(place, "target", "/app").fails(127);
    place
        .wiac(["run", "./target", "./layer", "/app"])
        .fails(127)
        .explains(&["/app is there", "ld-linux"]);
    // The loader alone isn't enough either; now it is the library that is named.
    place
        .host("mkdir -p target/lib64 && cp /lib64/ld-linux-x86-64.so.2 target/lib64/")
        .succeeds();
    place
        .wiac(["run", "./target", "./layer", "/app"])
        .fails(127)
        .explains(&["/app", "lacks a library: libc.so.6"]);
}

as_users!(a_bundle_holds_a_program_and_all_it_needs: root, user, single);
fn a_bundle_holds_a_program_and_all_it_needs(place: &Place) {
    place.compile_with(&[], programs::GREETER, "app");
    place.wiac(["bundle", "./app", "bundle"]).succeeds();
    let app = place.shown("app");
    chroot(place, "bundle", &app)
        .succeeds()
        .says("greetings from a small root");
}

as_users!(bash_runs_in_a_bundle_and_finds_no_ls: root, user, single);
fn bash_runs_in_a_bundle_and_finds_no_ls(place: &Place) {
    place.wiac(["bundle", "bash", "target"]).succeeds();
    chroot(place, "target", "/bin/bash -c 'pwd; echo *'")
        .succeeds()
        .mentions("/\n")
        .mentions("lib64");
    chroot(place, "target", "/bin/bash -c ls")
        .fails(127)
        .complains(&["ls: command not found"]);
    place
        .wiac(["run", "./target", "./layer", "bash", "-c", "cd /usr && pwd"])
        .succeeds()
        .says("/usr");
}

as_users!(ls_can_be_added: root, user, single);
fn ls_can_be_added(place: &Place) {
    place.wiac(["bundle", "/usr/bin/bash", "target"]).succeeds();
    place.wiac(["bundle", "/usr/bin/ls", "target"]).succeeds();
    chroot(place, "target", "/bin/bash -c 'ls /usr/bin'")
        .succeeds()
        .says("bash\nls");
    place
        .wiac(["run", "./target", "./layer", "bash", "-c", "ls /usr/bin"])
        .succeeds()
        .says("bash\nls");
}

as_users!(a_bundle_can_be_named_in_place_of_an_image: root, user, single);
fn a_bundle_can_be_named_in_place_of_an_image(place: &Place) {
    place
        .wiac(["run", "bundle://bash,ls", "--", "bash", "-c", "ls /usr/bin"])
        .succeeds()
        .says("bash\nls");
}

#[test]
fn a_bundle_looks_like_what_it_is_taken_from() {
    let place = Place::root();
    place.wiac(["bundle", "bash", "ls", "target"]).succeeds();
    for link in ["bin", "lib", "lib64"] {
        let (host, ours) = (
            std::fs::read_link(format!("/{link}")),
            std::fs::read_link(place.path("target").join(link)),
        );
        assert_eq!(host.ok(), ours.ok(), "/{link}");
    }
    place.host("for f in $(cd target && find . -type f); do cmp /$f target/$f; [ $(stat -c %a:%u:%g:%Y /$f) = $(stat -c %a:%u:%g:%Y target/$f) ]; done").succeeds();
}

#[test]
fn a_bundle_of_another_root_is_taken_from_there() {
    let place = Place::root();
    place.compile_with(&[], programs::GREETER, "app");
    place.wiac(["bundle", "./app", "first"]).succeeds();
    place
        .host("mkdir -p first/opt && mv first/$PWD/app first/opt/app && rm -r first/dev")
        .succeeds();
    place
        .wiac(["bundle", "--root", "first", "/opt/app", "second"])
        .succeeds();
    chroot(&place, "second", "/opt/app")
        .succeeds()
        .says("greetings from a small root");
}

#[test]
fn a_list_shows_who_needs_what() {
    let place = Place::root();
    place
        .wiac(["bundle", "--list", "bash"])
        .succeeds()
        .mentions("/usr/bin/bash\n")
        .mentions("    libtinfo.so.6")
        .mentions("libc.so.6");
    let said = place.wiac(["bundle", "--list", "--format", "json", "bash"]).succeeds();
    let list: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(list["programs"][0]["name"], "bash");
    assert!(!place.has("bash"), "a list makes nothing");
}

#[test]
fn a_library_that_is_missing_is_named_with_who_needs_it() {
    let place = Place::root();
    place.compile_with(
        &["-shared", "-fPIC"],
        "int answer(void) { return 42; }\n",
        "libanswer.so.1",
    );
    let library = place.shown("libanswer.so.1");
    place.compile_with(
        &[&library],
        "int answer(void); int main(void) { return answer() - 42; }\n",
        "app",
    );
    std::fs::rename(place.path("libanswer.so.1"), place.path("elsewhere")).expect("moved");
    place
        .wiac(["bundle", "./app", "target"])
        .fails(1)
        .complains(&["libanswer.so.1", "app"]);
}

#[test]
fn programs_that_are_missing_are_named_with_the_nearest() {
    let place = Place::root();
    place
        .wiac(["bundle", "bahs", "target"])
        .fails(1)
        .complains(&["bahs", "bash"]);
    place
        .wiac(["bundle", "bash"])
        .fails(125)
        .complains(&["name at least one program, then the directory"]);
}
