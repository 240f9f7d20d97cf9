//! Archives that lie in the web.

use super::{assert_whole, wiac_on};
use crate::harness::{Place, as_users};
use crate::registry::web::{Answer, serve};

as_users!(files_of_the_web_are_loaded_and_imported: root, user);
fn files_of_the_web_are_loaded_and_imported(place: &Place) {
    place.image("app", "RUN echo here > /file");
    place.wiac(["save", "-o", "app.tar", "app"]).succeeds();
    place.wiac(["export", "-o", "root.tar", "app"]).succeeds();
    place.host("gzip -k app.tar root.tar").succeeds();
    let files = ["app.tar", "app.tar.gz", "root.tar", "root.tar.gz"].map(|name| {
        let bytes = std::fs::read(place.path(name)).expect("it was written");
        (name, bytes)
    });
    let server = serve(move |path| {
        let (name, is_cut) = path.strip_suffix("?cut").map_or((path, false), |name| (name, true));
        let found = files.iter().find(|(known, _)| name.strip_prefix('/') == Some(known));
        let Some((_, bytes)) = found else {
            return Answer {
                status: 404,
                ..Answer::of("text/plain", "")
            };
        };
        let sent = if is_cut { &bytes[..bytes.len() / 2] } else { bytes };
        Answer {
            length: Some(bytes.len() as u64),
            ..Answer::of("application/x-tar", sent)
        }
    });
    let at = |name: &str| format!("http://{server}/{name}");
    for name in ["app.tar", "app.tar.gz"] {
        wiac_on(place, "other", ["load", "-q", "-i", &at(name)]).succeeds();
        wiac_on(place, "other", ["run", "app", "cat", "/file"])
            .succeeds()
            .says("here");
    }
    for name in ["root.tar", "root.tar.gz"] {
        wiac_on(place, "other", ["import", &at(name), "imported"]).succeeds();
        wiac_on(place, "other", ["run", "imported", "cat", "/file"])
            .succeeds()
            .says("here");
    }
    wiac_on(place, "other", ["prune", "-f"]).succeeds();
    for name in ["app.tar?cut", "app.tar.gz?cut", "none"] {
        let load = wiac_on(place, "other", ["load", "-i", &at(name)]).fails(1);
        load.complains(&[&server.to_string()]);
    }
    for name in ["root.tar?cut", "root.tar.gz?cut", "none"] {
        let import = wiac_on(place, "other", ["import", &at(name)]).fails(1);
        import.complains(&[&server.to_string()]);
    }
    assert_whole(place, "other");
}
