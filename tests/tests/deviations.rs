//! `docs/deviations.md` names every file that has a `DEVIATION:` comment, and no other.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const CRATES: [&str; 6] = ["devices", "emulator", "firmware", "guests", "iommufd", "tests"];

fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_list_is_complete() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    CRATES.iter().for_each(|name| sources(&root.join(name).join("src"), &mut files));
    assert!(files.len() > 100, "the sources are not where this test looks");
    let marked: BTreeSet<String> = files
        .into_iter()
        .filter(|path| fs::read_to_string(path).unwrap().contains("DEVIATION:"))
        .map(|path| path.strip_prefix(root).unwrap().display().to_string())
        .collect();
    let list = fs::read_to_string(root.join("docs/deviations.md")).unwrap();
    let listed: BTreeSet<String> = list
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(path, _)| path.to_owned())
        .collect();
    assert_eq!(listed, marked);
}
