//! What the programs write for the cases in nft-fixtures. `make bless` rewrites the golden files.
#![allow(clippy::unwrap_used)]

#[path = "common/fixtures.rs"]
mod fixtures;

use fixtures::Case;
use std::fs;
use std::path::Path;

const FILES: [(&str, &str); 3] = [("hosts", "hosts"), ("nftables_chains", "chains.nft"), ("nftables_sets", "sets.nft")];

#[test]
fn each_case_gives_its_golden_files() {
    let mut differences = String::new();
    for case in Case::all() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("P");
        let output = case.process(&base, &["--force"]);
        assert!(output.status.success(), "{}: {}", case.name(), String::from_utf8_lossy(&output.stderr));
        for (extension, golden) in FILES {
            let found = fs::read_to_string(base.with_extension(extension)).unwrap();
            differences.extend(case.compare(golden, &found));
        }
    }
    assert!(differences.is_empty(), "to accept: make bless\n{differences}");
}

#[test]
fn check_agrees_with_the_golden_files_and_with_nothing_else() {
    for case in Case::all() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("P");
        for (extension, golden) in FILES {
            fs::copy(case.folder.join(golden), base.with_extension(extension)).unwrap();
        }
        let output = case.process(&base, &["--check"]);
        assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b""[..]), "{}", case.name());

        for (extension, _) in FILES {
            let path = base.with_extension(extension);
            let right = fs::read(&path).unwrap();
            fs::write(&path, [&right[..], b"# edited\n"].concat()).unwrap();
            let output = case.process(&base, &["--check"]);
            let diff = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(1), "{}", case.name());
            assert!(diff.contains("-# edited") && diff.contains(extension), "{}: {diff}", case.name());
            assert_eq!(fs::read(&path).unwrap(), [&right[..], b"# edited\n"].concat(), "--check wrote");
            fs::write(&path, right).unwrap();
        }
    }
}

#[test]
fn there_are_enough_cases_and_each_is_small() {
    let cases = Case::all();
    assert!(cases.len() >= 20);
    for case in &cases {
        let size = fs::metadata(Path::new(&case.folder).join("registry.json")).unwrap().len();
        assert!(size < 2000 || case.name() == "hundred-instances", "{}: {size} bytes", case.name());
    }
}
