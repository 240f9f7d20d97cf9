//! Indexes put together by hand, all tags of a repository, and what refers to an image.

use super::debian::Registry;
use super::{assert_whole, json, wiac_on};
use crate::harness::{Place, as_users};
use serde_json::json;

/// The manifest or index that the registry has, as skopeo reads it.
fn raw(place: &Place, name: &str) -> serde_json::Value {
    let script = format!("skopeo inspect --raw --tls-verify=false docker://{name}");
    json(place.host(&script).env("REGISTRY_AUTH_FILE", place.path("none.json")))
}

as_users!(an_index_is_put_together_and_sent: root, user);
fn an_index_is_put_together_and_sent(place: &Place) {
    let registry = Registry::start();
    let (elsewhere, list) = (registry.name("elsewhere/arm:1"), registry.name("team/app:1"));
    place.image("amd", "CMD [\"echo\", \"amd\"]");
    place.write("arm/file", "arm");
    place
        .build("arm", "FROM scratch\nCOPY file /\n")
        .args(["--platform", "linux/arm/v6", "-t", "arm"])
        .succeeds();
    let wiac = |arguments: &[&str]| wiac_on(place, "data", arguments.iter().copied());
    wiac(&["push", "-q", "arm", &elsewhere]).succeeds();
    wiac(&[
        "manifest",
        "create",
        "--annotation",
        "org.example.team=us",
        &list,
        "amd",
    ])
    .succeeds();
    wiac(&["manifest", "create", &list])
        .fails(1)
        .complains(&["--amend", "manifest rm"]);
    wiac(&[
        "manifest",
        "add",
        "--variant",
        "v7",
        &list,
        &format!("docker://{elsewhere}"),
    ])
    .succeeds();
    wiac(&["manifest", "annotate", "--annotation", "org.example.a=b", &list, "amd"]).succeeds();
    wiac(&["manifest", "annotate", "--arch", "x", &list, "amx"])
        .fails(1)
        .complains(&["amx", "did you mean amd?"]);
    wiac(&["manifest", "inspect", &list])
        .succeeds()
        .mentions("\"v7\"")
        .mentions("org.example.a");
    let said = wiac(&["manifest", "push", "--all", &list]).succeeds();
    let index = raw(place, &list);
    assert_eq!(index["annotations"], json!({ "org.example.team": "us" }));
    let manifests = index["manifests"].as_array().expect("manifests");
    assert_eq!(manifests.len(), 2, "{index:#}");
    assert_eq!(manifests[0]["annotations"], json!({ "org.example.a": "b" }));
    assert_eq!(
        manifests[1]["platform"],
        json!({ "architecture": "arm", "os": "linux", "variant": "v7" })
    );
    assert_eq!(
        manifests[1]["digest"].as_str(),
        Some(super::digest_of(place, &elsewhere).as_str())
    );
    assert!(said.stdout.contains("digest: sha256:"), "{}", said.stdout);
    // Whoever pulls gets its own platform's.
    wiac_on(place, "other", ["run", "--rm", &list]).succeeds().says("amd");
    wiac_on(place, "other", ["pull", "-q", "--platform", "linux/arm/v7", &list]).succeeds();
    place
        .host(&format!(
            "skopeo copy -q --src-tls-verify=false --override-arch arm docker://{list} dir:copied"
        ))
        .env("REGISTRY_AUTH_FILE", place.path("none.json"))
        .succeeds();
    // An index of an index's parts, sent to another name and forgotten.
    let second = registry.name("team/second:1");
    wiac(&["manifest", "create", "--all", "mine", &format!("docker://{list}")]).succeeds();
    wiac(&[
        "manifest",
        "remove",
        "mine",
        manifests[1]["digest"].as_str().expect("a digest"),
    ])
    .succeeds();
    wiac(&["manifest", "push", "-q", "--rm", "mine", &second]).succeeds();
    assert_eq!(raw(place, &second)["manifests"].as_array().map(Vec::len), Some(1));
    wiac(&["manifest", "rm", "mine"]).fails(1).complains(&["no such index"]);
    wiac(&["manifest", "rm", &list]).succeeds();
    wiac(&["manifest", "create", "empty"]).succeeds();
    wiac(&["manifest", "push", "empty", &second])
        .fails(1)
        .complains(&["nothing is in it"]);
    wiac(&["manifest", "rm", "empty"]).succeeds();
    assert_whole(place, "data");
}

#[test]
fn all_tags_go_and_come() {
    let (place, registry) = (Place::root(), Registry::start());
    let repository = registry.name("team/app");
    for tag in ["1", "2", "last"] {
        place.write("context/file", tag);
        let name = format!("{repository}:{tag}");
        place
            .build("context", "FROM scratch\nCOPY file /\n")
            .args(["-t", &name])
            .succeeds();
    }
    let wiac = |data: &str, arguments: &[&str]| wiac_on(&place, data, arguments.iter().copied());
    wiac(
        "data",
        &["tag", &format!("{repository}:1"), &registry.name("team/app-two:1")],
    )
    .succeeds();
    wiac("data", &["push", "--all-tags", &repository]).succeeds();
    wiac("other", &["tags", &repository]).succeeds().says("1\n2\nlast");
    wiac("other", &["pull", "-q", "--all-tags", &repository]).succeeds();
    let images = wiac("other", &["images", "--format", "{{.Tag}}"]).succeeds();
    let mut tags = images.lines();
    tags.sort_unstable();
    assert_eq!(tags, ["1", "2", "last"]);
    for (arguments, why) in [
        (["push", "--all-tags", &format!("{repository}:1")], "without a tag"),
        (["pull", "--all-tags", &format!("{repository}:1")], "without a tag"),
    ] {
        wiac("data", &arguments).fails(125).complains(&[why]);
    }
    wiac("data", &["push", "--all-tags", "nothing"])
        .fails(1)
        .complains(&["no image here"]);
}

#[test]
fn what_refers_to_an_image_is_listed() {
    let (place, registry) = (Place::root(), Registry::start());
    place.image("app", "");
    let name = registry.name("team/app:1");
    wiac_on(&place, "data", ["push", "-q", "app", &name]).succeeds();
    wiac_on(&place, "data", ["referrers", &name]).succeeds().says("");
    // Debian's registry has no API for it: then a tag lists them, which whoever adds one writes.
    let digest = super::digest_of(&place, &name);
    let referrer = format!(
        "{{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"{digest}\",\"size\":7,\
         \"artifactType\":\"application/spdx+json\"}}"
    );
    let script = format!(
        "curl -sSf -X PUT -H 'content-type: application/vnd.oci.image.index.v1+json' --data-binary @- \
         http://{}/v2/team/app/manifests/{} <<<'{{\"schemaVersion\":2,\"mediaType\":\
         \"application/vnd.oci.image.index.v1+json\",\"manifests\":[{referrer}]}}'",
        registry.authority(),
        digest.replace(':', "-"),
    );
    place.host(&script).succeeds();
    wiac_on(&place, "data", ["referrers", &name])
        .succeeds()
        .says(&format!("{digest}  application/spdx+json  7B"));
    let found = json(wiac_on(&place, "data", ["referrers", "--format", "json", &name]));
    assert_eq!(found["digest"].as_str(), Some(digest.as_str()));
    assert_eq!(found["manifests"][0]["artifactType"], "application/spdx+json");
    wiac_on(&place, "data", ["referrers", "--artifact-type", "other", &name])
        .succeeds()
        .says("");
    wiac_on(&place, "data", ["referrers", &registry.name("none")])
        .fails(1)
        .complains(&["none"]);
}

#[test]
fn an_index_that_was_built_is_one_for_manifest_too() {
    let (place, registry) = (Place::root(), Registry::start());
    place.write("context/file", "x");
    let name = registry.name("team/both:1");
    place
        .build("context", "FROM scratch\nCOPY file /\n")
        .args([
            "--platform",
            "linux/arm64,linux/amd64",
            "-t",
            &name,
            "--iidfile",
            "id",
            "--push",
        ])
        .succeeds();
    assert_eq!(super::digest_of(&place, &name), place.read("id"));
    let wiac = |arguments: &[&str]| wiac_on(&place, "data", arguments.iter().copied());
    wiac(&["manifest", "exists", &name]).succeeds();
    wiac(&["manifest", "exists", "none"]).fails(1);
    let shown = json(wiac(&["manifest", "inspect", &name]));
    assert_eq!(shown["manifests"][0]["platform"]["architecture"], "arm64");
    let other = registry.name("team/other:1");
    wiac(&["manifest", "push", "-q", &name, &other]).succeeds();
    assert_eq!(super::digest_of(&place, &other), place.read("id"));
    wiac(&["manifest", "create", "--all", "mine", &name]).succeeds();
    let said = [
        "manifest",
        "annotate",
        "--os-version",
        "10.0.1",
        "--os-features",
        "a,b",
        "mine",
        &name,
    ];
    wiac(&said).succeeds();
    let shown = json(wiac(&["manifest", "inspect", "mine"]));
    assert_eq!(shown["manifests"].as_array().map(Vec::len), Some(2));
    assert_eq!(shown["manifests"][0]["platform"]["os.version"], "10.0.1");
    assert_eq!(shown["manifests"][0]["platform"]["os.features"], json!(["a", "b"]));
    // The same in the words of -o.
    let third = registry.name("team/third:1");
    place
        .build("context", "FROM scratch\nCOPY file /\n")
        .args(["-o", &format!("type=image,name={third},push=true"), "--iidfile", "id"])
        .succeeds();
    let inspect = format!("skopeo inspect --raw --tls-verify=false docker://{third}");
    place
        .host(&inspect)
        .succeeds()
        .mentions(place.read("id").trim_start_matches("sha256:"));
    place
        .build("context", "FROM scratch\n")
        .arg("--push")
        .fails(125)
        .complains(&["--tag"]);
}

/// As one machine of several does it in CI, each for its platform; who comes last puts the index together.
#[test]
fn what_is_pushed_by_its_digest_sets_no_tag() {
    let (place, registry) = (Place::root(), Registry::start());
    let repository = registry.name("team/app");
    place.write("context/file", "x");
    let build = |platform: &str, output: &str| {
        let output = format!("type=image,name={repository},push-by-digest=true,{output}");
        let build = place.build("context", "FROM scratch\nCOPY file /\n");
        build.args(["--platform", platform, "-o", &output, "--metadata-file", "meta.json"])
    };
    let digest = || {
        let meta: serde_json::Value = serde_json::from_str(&place.read("meta.json")).expect("JSON");
        assert_eq!(meta["image.name"], repository);
        meta["containerimage.digest"].as_str().expect("a digest").to_owned()
    };
    build("linux/amd64", "name-canonical=true,push=true").succeeds();
    let gzip = digest();
    build("linux/arm64", "push=true,compression=zstd").succeeds();
    let zstd = digest();
    for (digest, how) in [(&gzip, "gzip"), (&zstd, "zstd")] {
        let manifest = raw(&place, &format!("{repository}@{digest}"));
        let media_type = manifest["layers"][0]["mediaType"].as_str().expect("text");
        assert!(media_type.ends_with(how), "{media_type}");
    }
    build("linux/amd64,linux/arm64", "push=true").succeeds();
    let both = raw(&place, &format!("{repository}@{}", digest()));
    assert_eq!(both["manifests"].as_array().map(Vec::len), Some(2));
    // Nothing is called so, here or there: a repository without tags is none for this registry.
    let tags = format!(
        "curl -sS http://{}/v2/team/app/tags/list",
        registry.name("").trim_end_matches('/')
    );
    place.host(&tags).succeeds().mentions("NAME_UNKNOWN");
    place.wiac(["images", "-q", &repository]).succeeds().says("");
    let parts = [&gzip, &zstd].map(|digest| format!("docker://{repository}@{digest}"));
    place
        .wiac(["manifest", "create", "all", &parts[0], &parts[1]])
        .succeeds();
    let all = format!("{repository}:1");
    place.wiac(["manifest", "push", "-q", "--all", "all", &all]).succeeds();
    let index = raw(&place, &all);
    assert_eq!(index["manifests"][1]["platform"]["architecture"], "arm64");
    assert_eq!(index["manifests"][1]["digest"], zstd);
    build("linux/amd64", "push=true")
        .args(["-o", "type=registry,compression=zstd,name=x"])
        .fails(125);
}

#[test]
fn an_index_put_together_is_dockers_where_that_is_wanted() {
    const DOCKER: &str = "application/vnd.docker.distribution.manifest";
    let (place, registry) = (Place::root(), Registry::start());
    place.image("app", "");
    let [elsewhere, packed, list] = ["elsewhere", "packed", "list"].map(|name| registry.name(&format!("{name}:1")));
    place.write("arm/file", "arm");
    let build = place.build("arm", "FROM scratch\nCOPY file /\n");
    build.args(["--platform", "linux/arm64", "-t", "arm"]).succeeds();
    for (image, how, name) in [("arm", "gzip", &elsewhere), ("app", "zstd", &packed)] {
        place.wiac(["push", "-q", "--compression", how, image, name]).succeeds();
    }
    let wiac = |arguments: &[&str]| place.wiac(arguments.iter().copied());
    wiac(&["manifest", "create", "--annotation", "a=b", &list, "app"]).succeeds();
    let remote = format!("docker://{elsewhere}");
    wiac(&["manifest", "add", "--annotation", "c=d", &list, &remote]).succeeds();
    wiac(&[
        "manifest",
        "push",
        "-q",
        "--format",
        "v2s2",
        "--compression",
        "zstd",
        &list,
    ])
    .fails(125)
    .complains(&["no layers compressed with zstd"]);
    wiac(&["manifest", "push", "-q", "--format", "v2s2", &list]).succeeds();
    let index = raw(&place, &list);
    assert_eq!(index["mediaType"], format!("{DOCKER}.list.v2+json"));
    let manifests = index["manifests"].as_array().expect("manifests");
    assert_eq!(manifests.len(), 2, "{index:#}");
    for manifest in manifests {
        assert_eq!(manifest["mediaType"], format!("{DOCKER}.v2+json"), "{index:#}");
    }
    assert!(
        !index.to_string().contains("annotations"),
        "docker's have none: {index:#}"
    );
    wiac_on(&place, "other", ["run", "--rm", &list, "echo", "ran"])
        .succeeds()
        .says("ran");
    wiac_on(&place, "other", ["pull", "-q", "--platform", "linux/arm64", &list]).succeeds();
    // What came from the registry's own repository is of another kind now, and goes back to what it was.
    wiac(&["manifest", "create", "--all", "again", &format!("docker://{list}")]).succeeds();
    wiac(&["manifest", "push", "-q", "--format", "oci", "again", &list]).succeeds();
    let index = raw(&place, &list);
    let manifests = index["manifests"].as_array().expect("manifests");
    assert_eq!(
        manifests[1]["digest"].as_str(),
        Some(super::digest_of(&place, &elsewhere).as_str())
    );
    // A layer that docker has no word for stays where it is.
    wiac(&["manifest", "create", "third", &format!("docker://{packed}")]).succeeds();
    wiac(&["manifest", "push", "--format", "v2s2", "third", &list])
        .fails(1)
        .complains(&["zstd", "pull it and add the image here"]);
    assert_whole(&place, "other");
}
