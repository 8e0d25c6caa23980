//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use ami_share_tests::workspace;

/// The text of a file below the root.
pub fn text(path: &str) -> String {
    fs::read_to_string(workspace::file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names in a folder that end in `suffix`.
pub fn names(folder: &str, suffix: &str) -> Vec<String> {
    let mut names: Vec<String> = entries(&workspace::file(folder)).iter().map(|entry| name(entry)).collect();
    names.retain(|name| name.ends_with(suffix));
    names
}

/// The crates of the functions.
pub fn functions() -> Vec<String> {
    names("functions", "")
}

/// The paths of all files below a folder, as the root sees them. Leaves out what is built, installed or hidden.
pub fn below(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&workspace::file(folder), &mut found);
    found
}

/// The source of what decides and acts: the domain, what computes the desired state, and the functions.
pub fn source_of_functions() -> String {
    let mut folders =
        ["shared/domain/src", "shared/resolve/src", "shared/lambda/src"].map(str::to_owned).to_vec();
    folders.extend(functions().iter().map(|function| format!("functions/{function}/src")));
    folders.iter().flat_map(|folder| below(folder)).map(|file| text(&file)).collect()
}

fn collect(folder: &Path, found: &mut Vec<String>) {
    for entry in entries(folder) {
        let name = name(&entry);
        let is_hidden = name.starts_with('.') && ![".ci", ".github", ".cargo"].contains(&name.as_str());
        if is_hidden || ["target", "__pycache__"].contains(&name.as_str()) {
            continue;
        }
        if entry.is_dir() {
            collect(&entry, found);
        } else {
            found.push(entry.strip_prefix(workspace::root()).unwrap().to_string_lossy().into_owned());
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn name(file: &Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}
