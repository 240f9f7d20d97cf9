//! images, inspect, history, layers: as docker and podman print them.

use super::json;
use crate::harness::call::Call;
use crate::harness::{Place, as_users, tools};
use serde_json::Value;
use std::collections::BTreeSet;

/// podman with a store of its own in the place.
fn podman<'a>(place: &Place, arguments: impl IntoIterator<Item = &'a str>) -> Call {
    let directory = |name: &str| place.path(name).to_string_lossy().into_owned();
    place
        .command(&tools::podman())
        .args([
            "--root".to_owned(),
            directory("podman"),
            "--runroot".to_owned(),
            directory("podman-run"),
            "--storage-driver=vfs".to_owned(),
        ])
        .args(arguments)
}

/// An image that podman and wiac both have.
fn shared_image(place: &Place) {
    place.write("root/etc/greeting", "hello\n");
    place.host("tar -C root -cf root.tar .").succeeds();
    let changes = [
        "-c",
        "ENV COLOUR=red",
        "-c",
        "LABEL who=me",
        "-c",
        "CMD [\"/bin/sh\"]",
        "-c",
        "USER 7",
    ];
    let import = ["import", "-q"].into_iter().chain(changes).chain(["root.tar", "app:1"]);
    podman(place, import).succeeds();
    podman(place, ["save", "-q", "-o", "app.tar", "app:1"]).succeeds();
    place.wiac(["load", "-q", "-i", "app.tar"]).succeeds();
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn json_has_podmans_fields() {
    let place = Place::root();
    shared_image(&place);
    let theirs = json(podman(&place, ["images", "--format", "json"]));
    let ours = json(place.wiac(["images", "--format", "json"]));
    // There are no parents, containers and former names to tell of.
    let missing: BTreeSet<&str> = keys(&theirs[0]).difference(&keys(&ours[0])).copied().collect();
    assert_eq!(missing, BTreeSet::from(["Containers", "History", "ParentId"]));
    for field in ["Id", "Names", "Labels", "Created", "CreatedAt"] {
        assert_eq!(theirs[0][field], ours[0][field], "{field}");
    }
    assert!(ours[0]["Size"].is_u64());

    let theirs = json(podman(&place, ["image", "inspect", "app:1"]));
    let ours = json(place.wiac(["inspect", "localhost/app:1"]));
    let missing: BTreeSet<&str> = keys(&theirs[0]).difference(&keys(&ours[0])).copied().collect();
    assert_eq!(
        missing,
        BTreeSet::from(["Annotations", "NamesHistory", "Parent", "Version"])
    );
    for field in [
        "Id",
        "RepoTags",
        "Created",
        "Author",
        "Architecture",
        "Os",
        "RootFS",
        "Labels",
        "User",
        "History",
        "Comment",
    ] {
        assert_eq!(theirs[0][field], ours[0][field], "{field}");
    }
    for field in ["Env", "Cmd", "Labels", "User"] {
        assert_eq!(theirs[0]["Config"][field], ours[0]["Config"][field], "{field}");
    }

    let theirs = json(podman(&place, ["history", "--format", "json", "app:1"]));
    let ours = json(place.wiac(["history", "--format", "json", "localhost/app:1"]));
    assert_eq!(theirs.as_array().map(Vec::len), ours.as_array().map(Vec::len));
    for field in ["id", "created", "CreatedBy", "comment"] {
        assert_eq!(theirs[0][field], ours[0][field], "{field}");
    }
}

#[test]
fn templates_for_podman_and_docker_do() {
    let place = Place::root();
    shared_image(&place);
    for template in [
        "{{.ID}} {{.Repository}} {{.Tag}}",
        "{{.Repository}}:{{.Tag}}",
        "{{.Names}} {{.Labels}}",
        "{{range .Names}}<{{.}}>{{end}}",
        "{{.CreatedAt}}",
        "{{json .Labels}}",
        "{{.RepoTags}} {{.CreatedTime}} {{.ParentId}}|{{.ReadOnly}} {{.History}}",
    ] {
        let theirs = podman(&place, ["images", "--format", template]).succeeds();
        place
            .wiac(["images", "--format", template])
            .succeeds()
            .says(theirs.text());
    }
    for template in [
        "{{.Id}} {{.Config.Env}}",
        "{{index .Config.Labels \"who\"}}",
        "{{json .Config.Cmd}} {{.Architecture}}/{{.Os}}",
        "{{range .RootFS.Layers}}{{println .}}{{end}}",
        "{{if .Config.User}}as {{.Config.User}}{{else}}as root{{end}}",
        "{{len .History}} {{join .RepoTags \",\"}}",
        "{{.ID}} {{index .Config.Labels \"nobody\"}}|{{.Config.Labels.nobody}}",
        "{{.Config.Entrypoint}} {{.Config.Volumes}} {{json .Config.Volumes}} {{.Config.StopSignal}}",
        "{{.Parent}}|{{.NamesHistory}} {{.HealthCheck}}",
    ] {
        let theirs = podman(&place, ["image", "inspect", "--format", template, "app:1"]).succeeds();
        let ours = place.wiac(["inspect", "--format", template, "localhost/app:1"]);
        ours.succeeds().says(theirs.text());
    }
    place
        .wiac(["inspect", "-f", "{{.Idd}}", "localhost/app:1"])
        .fails(125)
        .complains(&["character 3", "no field .Idd (did you mean .Id?)"]);
    place
        .wiac(["images", "--format", "{{.ID"])
        .fails(125)
        .complains(&["no }}"]);
}

as_users!(tables_are_dockers: root, user, single);
fn tables_are_dockers(place: &Place) {
    place.image("app", "LABEL a=b\nRUN echo hello > /hello");
    place.wiac(["tag", "app", "quay.io/me/other:v2"]).succeeds();
    let said = place.wiac(["images"]).succeeds();
    let lines = said.lines();
    let words: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(words, ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]);
    assert_eq!(lines.len(), 3);
    assert!(
        lines[1].starts_with("app ") && lines[1].contains(" latest "),
        "{lines:?}"
    );
    assert!(lines[2].starts_with("quay.io/me/other "), "{lines:?}");
    // Columns stand one below the other.
    let column = lines[0].find("IMAGE ID").expect("a heading");
    let id = &lines[1][column..column + 12];
    assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    assert_eq!(lines[2][column..column + 12], *id);
    place.wiac(["images", "-q"]).succeeds().says(id);
    let whole = place.wiac(["images", "-q", "--no-trunc"]).succeeds();
    assert!(whole.text().starts_with(&format!("sha256:{id}")));

    let said = place.wiac(["history", "app"]).succeeds();
    assert!(said.lines()[0].starts_with("IMAGE "), "{}", said.stdout);
    assert!(
        said.lines()[1].starts_with(id) && said.lines()[1].contains("RUN /bin/sh -c echo hello > /hello"),
        "{}",
        said.stdout
    );
    assert!(said.lines()[1].ends_with("6B"), "{}", said.stdout);
    assert!(said.lines()[2].starts_with("<missing>") && said.lines()[2].contains("LABEL a=b"));

    let layers = json(place.wiac(["layers", "app", "--format", "json"]));
    assert_eq!(layers[0]["CreatedBy"], "RUN /bin/sh -c echo hello > /hello");
    assert_eq!(layers[0]["Size"], 6);
    let chain = place.wiac(["layers", "-q", "app"]).succeeds();
    place
        .wiac(["run", chain.text(), "./layer", "cat", "/hello"])
        .succeeds()
        .says("hello");
}

#[test]
fn filters_and_patterns() {
    let place = Place::root();
    place.image("one", "LABEL kind=a\nRUN echo 1 >/one");
    place.image("two", "LABEL kind=b\nRUN echo 2 >/two");
    place.build("nameless", "FROM one\nENV X=1").succeeds();
    let names = |arguments: &[&str]| {
        let format = ["images", "--format", "{{.Repository}}"];
        let said = place.wiac(format.iter().chain(arguments)).succeeds();
        let mut names: Vec<String> = said.lines().into_iter().map(str::to_owned).collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names(&[]), "<none> one two");
    assert_eq!(names(&["-f", "dangling=true"]), "<none>");
    assert_eq!(names(&["-f", "label=kind=a"]), "<none> one");
    assert_eq!(names(&["-f", "label=kind=b", "-f", "dangling=false"]), "two");
    assert_eq!(names(&["-f", "reference=t*"]), "two");
    assert_eq!(names(&["one"]), "one");
    assert_eq!(names(&["one:v9"]), "");
    // Made in this order, within a second mostly; what has no step of its own is as old as its base.
    assert_eq!(names(&["-f", "since=one"]), "two");
    assert_eq!(names(&["-f", "before=two"]), "<none> one");
    // Of several references one, as docker and podman have it.
    assert_eq!(names(&["-f", "reference=one", "-f", "reference=t*"]), "one two");
    let ordered = |order: &str| {
        let said = place
            .wiac(["images", "--format", "{{.Repository}}", "--sort", order])
            .succeeds();
        said.lines().join(" ")
    };
    assert!(ordered("created").starts_with("two "));
    assert_eq!(ordered("repository"), "<none> one two");
    place
        .wiac(["images", "-f", "labl=x"])
        .fails(125)
        .complains(&["did you mean label"]);
    place
        .wiac(["images", "-f", "since=on"])
        .fails(1)
        .complains(&["did you mean one"]);
}

#[test]
fn what_an_image_says_doesnt_reach_the_terminal() {
    let place = Place::root();
    place.image("app", "LABEL evil=\"a\u{1b}[2Jb\"");
    let said = place
        .wiac(["images", "--format", "table {{.ID}}\t{{.Labels}}"])
        .succeeds();
    assert!(
        !said.stdout.contains('\u{1b}') && said.stdout.contains("evil:a"),
        "{}",
        said.stdout
    );
    let said = place.wiac(["history", "app"]).succeeds();
    assert!(!said.stdout.contains('\u{1b}'));
}
