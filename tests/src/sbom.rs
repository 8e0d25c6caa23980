//! Makes a software bill of materials for each function: the crates of its binary, as CycloneDX 1.5.
//!
//! `cargo cyclonedx` describes each crate. It reads the tree from `cargo metadata`, which includes optional
//! dependencies that no feature enables; so crates that `cargo tree` does not find in the binary are removed. It does
//! not describe the binary itself, so its digest is added.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{cargo_tools, workspace};

/// Name and version of a crate.
pub type Crate = (String, String);

/// The bill of materials of a function's binary.
#[derive(Debug)]
pub struct Bill {
    /// The function, and the name of its binary.
    pub function: String,
    /// The CycloneDX document.
    pub document: Value,
}

impl Bill {
    /// The crates that the document names, without the function itself.
    pub fn components(&self) -> BTreeSet<Crate> {
        let components = self.document.get("components").and_then(Value::as_array);
        components.into_iter().flatten().filter_map(name_and_version).collect()
    }

    /// Adds the digest of the function's binary to the document.
    ///
    /// # Errors
    /// When the binary cannot be read.
    pub fn describe(&mut self, binary: &Path) -> Result<()> {
        let content = fs::read(binary).with_context(|| format!("reading {}", binary.display()))?;
        let digest: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        let subject = self.document.pointer_mut("/metadata/component").and_then(Value::as_object_mut);
        let hashes = json!([{ "alg": "SHA-256", "content": digest }]);
        subject.context("the document describes no component")?.insert("hashes".to_owned(), hashes);
        Ok(())
    }
}

/// The bill of each function when it is built for a target, such as `aarch64-unknown-linux-gnu`.
///
/// # Errors
/// When the tool cannot be installed, or prints something unexpected.
pub fn bills(target: &str) -> Result<Vec<Bill>> {
    let tree = tree(target)?;
    let documents = documents(target)?.into_iter();
    documents
        .map(|(function, text)| {
            let document = built_in(&text, &reach(&tree, &function))?;
            Ok(Bill { function, document })
        })
        .collect()
}

/// The documents that `cargo cyclonedx` writes, by function. It can write only beside each `Cargo.toml`; so it runs in
/// a copy of the workspace that has its own `Cargo.toml`s, and links to all other files.
fn documents(target: &str) -> Result<Vec<(String, String)>> {
    let copy = workspace::target().join("sbom/workspace");
    let lock = File::create(workspace::target().join("sbom.lock")).context("making a lock")?;
    lock.lock().context("waiting for another process that makes bills of materials")?;
    copy_workspace(&copy).with_context(|| format!("copying the workspace to {}", copy.display()))?;
    let mut tool = cargo_tools::tool("cyclonedx")?;
    tool.args([
        "--format",
        "json",
        "--describe",
        "binaries",
        "--spec-version",
        "1.5",
        "--quiet",
        "--target",
        target,
    ]);
    // The same commit makes the same document: the time is that of the commit, and there is no random serial number.
    tool.current_dir(&copy).env("SOURCE_DATE_EPOCH", committed_at()?);
    let status = tool.status().context("running cargo cyclonedx")?;
    ensure!(status.success(), "cargo cyclonedx failed; see its output above");
    let here = format!("path+file://{}/", copy.display());
    let mut documents = Vec::new();
    for folder in folders(&copy.join("functions"))? {
        let function = folder.file_name().context("a function has a folder")?.to_string_lossy().into_owned();
        let document = folder.join(format!("{function}_bin.cdx.json"));
        let text =
            fs::read_to_string(&document).with_context(|| format!("reading {}", document.display()))?;
        documents.push((function, text.replace(&here, "path+file:///")));
    }
    Ok(documents)
}

fn copy_workspace(copy: &Path) -> Result<()> {
    if copy.exists() {
        fs::remove_dir_all(copy)?;
    }
    let mut packages = vec![workspace::file("tests")];
    for folder in ["functions", "shared"] {
        packages.extend(folders(&workspace::file(folder))?);
    }
    for package in packages {
        let copy = copy.join(package.strip_prefix(workspace::root())?);
        fs::create_dir_all(&copy)?;
        for entry in fs::read_dir(&package)? {
            let entry = entry?;
            match entry.file_name().to_str() {
                Some("Cargo.toml") => fs::copy(entry.path(), copy.join("Cargo.toml")).map(drop)?,
                _ => symlink(entry.path(), copy.join(entry.file_name()))?,
            }
        }
    }
    for file in ["Cargo.toml", "Cargo.lock"] {
        fs::copy(workspace::file(file), copy.join(file))?;
    }
    Ok(())
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading the folder {}", folder.display()))?;
    let mut folders = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    folders.sort();
    Ok(folders)
}

/// The time of the commit, in seconds since 1970; the builder may set another one.
/// <https://reproducible-builds.org/docs/source-date-epoch/>
fn committed_at() -> Result<String> {
    if let Ok(result) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(result);
    }
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%ct"]).current_dir(workspace::root());
    let output = git.output().context("asking git for the time of the commit")?;
    // An archive of the sources has no commits.
    Ok(if output.status.success() {
        String::from_utf8(output.stdout)?.trim().to_owned()
    } else {
        "0".to_owned()
    })
}

/// The crates that each crate depends on, for a target. The features are those of a build of the whole workspace,
/// as `sam build` makes it.
fn tree(target: &str) -> Result<BTreeMap<Crate, BTreeSet<Crate>>> {
    let mut cargo = cargo_tools::cargo();
    cargo.args(["tree", "--locked", "--workspace", "--edges", "normal,build", "--target", target]);
    let output =
        cargo.args(["--prefix", "depth", "--format", " {p}"]).output().context("running cargo tree")?;
    ensure!(output.status.success(), "cargo tree failed:\n{}", String::from_utf8_lossy(&output.stderr));
    let mut tree = BTreeMap::<Crate, BTreeSet<Crate>>::new();
    let mut above: Vec<Crate> = Vec::new();
    for line in String::from_utf8(output.stdout)?.lines().filter(|line| !line.is_empty()) {
        let mut fields = line.split_whitespace();
        let (Some(depth), Some(name), Some(version)) = (fields.next(), fields.next(), fields.next()) else {
            bail!("cannot parse `{line}` of cargo tree");
        };
        above.truncate(depth.parse().with_context(|| format!("`{line}` of cargo tree"))?);
        let this = (name.to_owned(), version.trim_start_matches('v').to_owned());
        if let Some(parent) = above.last() {
            tree.entry(parent.clone()).or_default().insert(this.clone());
        }
        above.push(this);
    }
    Ok(tree)
}

/// The crates of a binary, without the binary itself.
fn reach(tree: &BTreeMap<Crate, BTreeSet<Crate>>, binary: &str) -> BTreeSet<Crate> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&Crate> = tree.keys().filter(|(name, _)| name == binary).collect();
    while let Some(crate_) = next.pop() {
        for dependency in tree.get(crate_).into_iter().flatten() {
            if reached.insert(dependency.clone()) {
                next.push(dependency);
            }
        }
    }
    reached
}

/// The document without the crates that are not in the binary.
fn built_in(document: &str, built: &BTreeSet<Crate>) -> Result<Value> {
    let mut document: Value =
        serde_json::from_str(document).context("parsing the document of cargo cyclonedx")?;
    let mut removed = BTreeSet::new();
    let components = document.get_mut("components").and_then(Value::as_array_mut);
    components.context("the document has no components")?.retain(|component| {
        let is_built = name_and_version(component).is_some_and(|name| built.contains(&name));
        if !is_built {
            removed.extend(component.get("bom-ref").cloned().and_then(text));
        }
        is_built
    });
    let dependencies = document.get_mut("dependencies").and_then(Value::as_array_mut);
    let dependencies = dependencies.context("the document has no dependencies")?;
    let is_removed = |name: &Value| name.as_str().is_some_and(|name| removed.contains(name));
    dependencies.retain(|dependency| !dependency.get("ref").is_some_and(is_removed));
    for dependency in dependencies.iter_mut() {
        if let Some(names) = dependency.get_mut("dependsOn").and_then(Value::as_array_mut) {
            names.retain(|name| !is_removed(name));
        }
    }
    Ok(document)
}

fn name_and_version(component: &Value) -> Option<Crate> {
    Some((text(component.get("name")?.clone())?, text(component.get("version")?.clone())?))
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}
