//! Who may: passwords that are shown to nobody, and certificates.

use super::debian::Registry;
use super::{assert_whole, wiac_on};
use crate::harness::call::{Call, Said};
use crate::harness::{Place, as_users};

const USER: &str = "ann";
const SECRET: &str = "s3cr3t-w0rd";

/// wiac with a file of credentials of the place's own.
fn wiac<'a>(place: &Place, arguments: impl IntoIterator<Item = &'a str>) -> Call {
    place.wiac(arguments).env("REGISTRY_AUTH_FILE", place.path("auth.json"))
}

/// Nothing that was said has the secret in it.
fn discreet(said: Said) -> Said {
    use std::fmt::Write as _;
    let mut encoded = String::new();
    for byte in SECRET.bytes() {
        write!(encoded, "{byte:02x}").expect("text");
    }
    for secret in [SECRET, &encoded, "YW5uOnMzY3IzdC13MHJk"] {
        assert!(
            !said.stdout.contains(secret) && !said.stderr.contains(secret),
            "{said:?}"
        );
    }
    said
}

as_users!(a_login_lets_one_in: root, single);
fn a_login_lets_one_in(place: &Place) {
    let registry = Registry::with_user(USER, SECRET);
    let (authority, name) = (registry.authority(), registry.name("app"));
    place.image("app", "");
    let refused = wiac(place, ["push", "app", &name]).fails(1);
    discreet(refused).complains(&["doesn't let us", &format!("wiac login {authority}")]);
    let login = ["login", "--username", USER, "--password-stdin", &authority];
    discreet(wiac(place, login).stdin("wrong\n").fails(1)).complains(&[&authority]);
    assert!(!place.has("auth.json"), "a wrong password is not kept");
    discreet(wiac(place, login).stdin(format!("{SECRET}\n")).succeeds()).says("Login Succeeded!");
    let mode = place.host("stat -c %a auth.json").succeeds();
    assert_eq!(mode.text(), "600");
    discreet(wiac(place, ["push", "app", &name]).succeeds());
    discreet(wiac(place, ["pull", &name]).succeeds());
    wiac(place, ["tags", &name]).succeeds().says("latest");
    wiac(place, ["run", "--pull=always", &name, "echo", "in"])
        .succeeds()
        .says("in");
    wiac(place, ["logout", &authority]).succeeds().mentions(&authority);
    wiac(place, ["pull", &name]).fails(1).complains(&["wiac login"]);
    wiac(place, ["logout", &authority])
        .fails(1)
        .complains(&["not logged in"]);
    // For once, from the command line.
    let creds = format!("{USER}:{SECRET}");
    discreet(wiac(place, ["pull", "--creds", &creds, &name]).succeeds());
    discreet(wiac(place, ["pull", "--creds", "ann:wrong", &name]).fails(1));
    assert!(!registry.log().contains(SECRET));
    assert_whole(place, "data");
}

#[test]
fn a_login_of_podmans_counts() {
    let (place, registry) = (Place::root(), Registry::with_user(USER, SECRET));
    place.image("app", "");
    let login = format!(
        "podman login --tls-verify=false --authfile auth.json -u {USER} --password-stdin {}",
        registry.authority()
    );
    place.host(&login).stdin(SECRET).succeeds();
    wiac(&place, ["push", "-q", "app", &registry.name("app")]).succeeds();
    // And ours for skopeo.
    wiac(&place, ["logout", &registry.authority()]).succeeds();
    let login = ["login", "--username", USER, "--password-stdin", &registry.authority()];
    wiac(&place, login).stdin(SECRET).succeeds();
    let inspect = format!(
        "skopeo inspect --tls-verify=false --authfile auth.json docker://{}",
        registry.name("app")
    );
    place.host(&inspect).succeeds().mentions("sha256:");
}

#[test]
fn a_password_is_never_asked_for_without_a_terminal() {
    let place = Place::root();
    wiac(&place, ["login", "127.0.0.1:1"])
        .fails(125)
        .complains(&["--password-stdin"]);
    wiac(&place, ["login", "--password-stdin", "127.0.0.1:1"])
        .fails(125)
        .complains(&["--username"]);
    wiac(&place, ["login", "-u", USER, "-p", "x", "127.0.0.1:1"])
        .fails(1)
        .complains(&["others can see", "can't reach"]);
}

as_users!(a_certificate_is_checked: user);
fn a_certificate_is_checked(place: &Place) {
    let registry = Registry::with_tls(place);
    let name = registry.named("app");
    place.image("app", "");
    let push = |more: &[&str]| place.wiac(["push", "-q"]).args(more).args(["app", &name]);
    push(&["--tls-verify"])
        .fails(1)
        .complains(&["can't be trusted", "put its authority's certificate"]);
    push(&["--cert-dir", "certificates"]).succeeds();
    push(&["--tls-verify=false"]).succeeds();
    push(&["--cert-dir", "no-such-directory"])
        .fails(1)
        .complains(&["no-such-directory"]);
    let certificates = ["--tls-verify", "--cert-dir", "certificates"];
    wiac_on(place, "other", ["pull"])
        .args(certificates)
        .arg(&name)
        .succeeds();
    wiac_on(place, "third", ["run"])
        .args(certificates)
        .args([&name, "echo", "here"])
        .succeeds()
        .says("here");
    // From certs.d, as podman finds it.
    place.write(
        &format!(
            ".config/containers/certs.d/{}/ca.crt",
            registry.named("").trim_end_matches('/')
        ),
        place.read("certificates/ca.crt"),
    );
    wiac_on(place, "fourth", ["pull", "--tls-verify", &name]).succeeds();
}

#[test]
fn who_is_logged_in_is_told_and_taken_again() {
    let (place, registry) = (Place::root(), Registry::with_user(USER, SECRET));
    let authority = registry.authority();
    let login = |more: &[&str]| wiac(&place, ["login"]).args(more).arg(&authority);
    login(&["--get-login"]).fails(1).complains(&["not logged into"]);
    login(&["-u", USER, "--password-stdin"]).stdin(SECRET).succeeds();
    login(&["--get-login"]).succeeds().says(USER);
    discreet(login(&[]).succeeds()).mentions(&format!("Already logged in to {authority} as {USER}"));
    login(&["-u", USER]).succeeds().mentions("Already logged in");
    login(&["-u", "bob"]).fails(125).complains(&["--password-stdin"]);
    // A part of a registry, as podman has it.
    let part = format!("{authority}/team");
    wiac(&place, ["login", "-u", USER, "--password-stdin", &part])
        .stdin(SECRET)
        .succeeds();
    wiac(&place, ["logout", &authority]).succeeds();
    place.image("app", "");
    wiac(&place, ["push", "-q", "app", &format!("{part}/app")]).succeeds();
    wiac(&place, ["push", "-q", "app", &registry.name("app")]).fails(1);
    wiac(&place, ["logout", "--all"]).succeeds();
    wiac(&place, ["login", "--get-login", &part]).fails(1);
    assert!(!place.read("auth.json").contains("auth\":"));
    // A file that is named has to be there.
    wiac(&place, ["pull", "--authfile", "nowhere.json", &registry.name("app")])
        .fails(1)
        .complains(&["nowhere.json", "no such file"]);
    place.write("auth.json", "{\"auths\": ");
    login(&["--get-login"]).fails(1).complains(&["auth.json", "no JSON"]);
}
