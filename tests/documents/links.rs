//! Links and paths lead somewhere.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_tests::workspace;

use crate::files::{below, text};
use crate::markdown::{anchors, code, links};

/// All documents, with their text.
fn documents() -> BTreeMap<String, String> {
    let documents = below("").into_iter().filter(|file| file.ends_with(".md"));
    documents.map(|file| (file.clone(), text(&file))).collect()
}

/// `../b.md` in `a/c.md` is `b.md`.
fn resolved(document: &str, link: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            ".." => assert!(parts.pop().is_some(), "{document} links out of the repository: {link}"),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn every_relative_link_and_its_anchor_resolve() {
    let documents = documents();
    let anchors: BTreeMap<&str, BTreeSet<String>> =
        documents.iter().map(|(file, text)| (file.as_str(), anchors(text))).collect();
    let mut broken = Vec::new();
    for (document, text) in &documents {
        for link in links(text).into_iter().filter(|link| !link.contains(':')) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { document.clone() } else { resolved(document, path) };
            let is_there = workspace::file(&target).exists();
            let has_anchor = anchor.is_empty()
                || anchors.get(target.as_str()).is_some_and(|anchors| anchors.contains(anchor));
            if !is_there || !has_anchor {
                broken.push(format!("{document}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn every_path_and_test_in_backticks_exists() {
    const FOLDERS: [&str; 6] = ["docs/", "events/", "functions/", "shared/", "tests/", "workflows/"];
    let mut missing = Vec::new();
    for (document, contents) in documents() {
        let named = code(&contents)
            .into_iter()
            .filter(|named| FOLDERS.iter().any(|folder| named.starts_with(folder)));
        for named in named.filter(|named| !named.contains(['…', '*', '<', ' '])) {
            let (path, test) = named.split_once("::").unwrap_or((&named, ""));
            let is_there = workspace::file(path).exists();
            if !is_there || !(test.is_empty() || text(path).contains(&format!(" {test}("))) {
                missing.push(format!("{document}: {named}"));
            }
        }
    }
    assert!(missing.is_empty(), "paths and tests that do not exist:\n{}", missing.join("\n"));
}
