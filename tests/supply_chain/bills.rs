//! The bills of materials that `cargo sbom` writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use ami_share_tests::sbom::{self, Bill, Crate};
use ami_share_tests::{functions, workspace};
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use crate::{python, run};

const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// The bills of all functions, for both processors.
fn bills() -> Result<&'static [Bill]> {
    static BILLS: OnceLock<Result<Vec<Bill>>> = OnceLock::new();
    let bills = BILLS.get_or_init(|| {
        let of_each = TARGETS.map(sbom::bills).into_iter().collect::<Result<Vec<_>>>();
        Ok(of_each?.into_iter().flatten().collect())
    });
    bills.as_deref().map_err(|error| anyhow!("{error:#}"))
}

/// Each crate of Cargo.lock with its checksum. The crates of this workspace have none.
fn locked() -> Result<BTreeMap<Crate, Option<String>>> {
    let lock = fs::read_to_string(workspace::file("Cargo.lock")).context("reading Cargo.lock")?;
    let entry = |package: &str, name: &str| {
        let start = format!("{name} = \"");
        package.lines().find_map(|line| line.strip_prefix(&start)?.strip_suffix('"')).map(str::to_owned)
    };
    let packages = lock.split("[[package]]").skip(1);
    let crates = packages.map(|package| {
        let name = entry(package, "name").zip(entry(package, "version"));
        Ok((name.context("a package has a name and a version")?, entry(package, "checksum")))
    });
    crates.collect()
}

#[test]
fn every_function_has_a_bill_for_each_processor() -> Result<()> {
    let functions = fs::read_dir(workspace::file("functions"))?.count();
    ensure!(bills()?.len() == TARGETS.len() * functions, "{} bills", bills()?.len());
    Ok(())
}

#[test]
fn a_bill_names_crates_of_cargo_lock_with_their_checksums() -> Result<()> {
    let locked = locked()?;
    for bill in bills()? {
        let components =
            bill.document.get("components").and_then(Value::as_array).context("no components")?;
        for component in components {
            let text =
                |at: &str| component.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
            let name = (text("/name"), text("/version"));
            let checksum = locked.get(&name).with_context(|| format!("{name:?} is not in Cargo.lock"))?;
            ensure!(
                text("/hashes/0/content") == checksum.clone().unwrap_or_default(),
                "the checksum of {name:?}"
            );
            ensure!(component.get("licenses").is_some(), "{name:?} has no licence");
        }
    }
    Ok(())
}

/// A binary contains the paths of its source files for panic messages, and each path names the folder of its crate.
#[test]
fn every_crate_whose_source_a_program_names_is_in_its_bill() -> Result<()> {
    functions::build()?;
    let here = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let target =
        |bill: &&Bill| bill.document.pointer("/metadata/properties/0/value") == Some(&here.as_str().into());
    for bill in bills()?.iter().filter(target) {
        let program = fs::read(workspace::binaries().join(&bill.function))?;
        let named: BTreeSet<String> = String::from_utf8_lossy(&program)
            .split("index.crates.io-")
            .filter_map(|rest| rest.split(['/', '\0']).nth(1))
            .filter(|folder| {
                folder.rsplit_once('-').is_some_and(|(_, version)| version.starts_with(char::is_numeric))
            })
            .map(str::to_owned)
            .collect();
        let components = bill.components();
        let missing: Vec<&String> =
            named.iter().filter(|folder| !components.iter().any(|one| is_of(one, folder))).collect();
        ensure!(named.len() > 50 && missing.is_empty(), "{}: {missing:?} of {}", bill.function, named.len());
    }
    Ok(())
}

fn is_of((name, version): &Crate, folder: &str) -> bool {
    folder.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix('-')) == Some(version)
}

/// `ring` is a crate that `cargo cyclonedx` includes although no feature enables it.
#[test]
fn a_bill_names_no_crate_that_only_tests_use_or_no_feature_enables() -> Result<()> {
    for bill in bills()? {
        let components = bill.components();
        let has = |name: &str| components.iter().any(|(component, _)| component == name);
        for built_in in
            ["ami-share-domain", "ami-share-aws", "aws-sdk-ec2", "lambda_runtime", "tokio", "aws-lc-sys"]
        {
            ensure!(has(built_in), "{} is built of {built_in}", bill.function);
        }
        for only_tested_with in ["ami-share-testkit", "ami-share-tests", "proptest", "insta", "clap"] {
            ensure!(!has(only_tested_with), "{} is not built of {only_tested_with}", bill.function);
        }
        ensure!(
            has("askama") == (bill.function == "review-shares"),
            "only `review-shares` renders a page: {}",
            bill.function
        );
        ensure!(!has("ring"), "`ring` is not built in: no feature enables it");
    }
    Ok(())
}

#[test]
fn a_bill_does_not_depend_on_where_it_is_made() -> Result<()> {
    let here = workspace::root().to_string_lossy().into_owned();
    for bill in bills()? {
        let text = bill.document.to_string();
        ensure!(!text.contains(&here), "the bill of {} names the folder in which it was made", bill.function);
        ensure!(
            bill.document.get("serialNumber").is_none(),
            "the bill of {} has a serial number",
            bill.function
        );
    }
    Ok(())
}

#[test]
fn a_bill_is_valid_cyclonedx_and_names_the_digest_of_its_binary() -> Result<()> {
    let built = workspace::target().join("sbom-tests");
    for function in bills()?.iter().map(|bill| &bill.function) {
        let words = function.split('-').map(|word| word[..1].to_uppercase() + &word[1..]);
        let folder = built.join(words.collect::<String>() + "Function");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("bootstrap"), "abc")?;
    }
    run(Command::new(env!("CARGO_BIN_EXE_sbom")).arg("--built").arg(&built))?;
    for function in bills()?.iter().map(|bill| &bill.function) {
        let file = workspace::target().join(format!("sbom/{function}.cdx.json"));
        let document: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
        // https://csrc.nist.gov/csrc/media/projects/cryptographic-standards-and-guidelines/documents/examples/sha256.pdf
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        ensure!(
            document.pointer("/metadata/component/hashes/0/content") == Some(&digest.into()),
            "{function}"
        );
    }
    // Only one bill, because it takes ten seconds, and all are made in the same way.
    let file = workspace::target().join("sbom/review-shares.cdx.json");
    run(python("python")?.arg("tests/supply_chain/validate.py").arg(&file))
}
