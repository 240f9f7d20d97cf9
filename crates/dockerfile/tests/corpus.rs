//! Parses every file of `corpus/` and compares with the text beside it. `WIAC_BLESS=1` writes the texts anew.

mod dump;

use std::fs;
use std::path::Path;

#[test]
fn every_file_parses_as_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let case = entry.unwrap().path();
        let source = fs::read(case.join("Dockerfile")).unwrap();
        let found = match wiac_dockerfile::parse(&source) {
            Ok(dockerfile) => dump::dump(&dockerfile),
            Err(error) => error.render("Dockerfile", &source),
        };
        let record = case.join("expected");
        if std::env::var_os("WIAC_BLESS").is_some() {
            fs::write(&record, &found).unwrap();
        }
        let expected = fs::read_to_string(&record).unwrap_or_default();
        assert_eq!(found, expected, "{}", case.display());
        seen += 1;
    }
    assert!(seen > 20, "the corpus is not there");
}
