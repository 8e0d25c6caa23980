//! All crates keep the rules of `deny.toml`, and all of them are used.

use std::fs;
use std::io::Write;
use std::process::Command;

use ami_share_tests::{cargo_tools, workspace};
use anyhow::{Context, Result, ensure};

use crate::run;

fn deny(rules: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = cargo_tools::tool("deny")?;
    command.args(["--locked", "--config", rules]).args(arguments);
    Ok(command)
}

#[test]
fn every_crate_keeps_the_rules_of_deny_toml() -> Result<()> {
    run(&mut deny("deny.toml", &["check", "bans", "licenses", "sources"])?)
}

#[test]
fn the_domain_is_built_of_nothing_but_what_its_own_rules_name() -> Result<()> {
    let arguments = ["--manifest-path", "shared/domain/Cargo.toml", "check", "bans"];
    run(&mut deny("shared/domain/deny.toml", &arguments)?)
}

/// With stricter rules than the tree keeps, the tools must complain: otherwise they check nothing.
#[test]
fn a_crate_that_breaks_a_rule_fails_the_check() -> Result<()> {
    let rules = fs::read_to_string(workspace::file("deny.toml")).context("reading deny.toml")?;
    let stricter = workspace::target().join("stricter-deny.toml");
    let changed = rules
        .replace("\"Unicode-3.0\"", "")
        .replace("[\"ami-share-aws\", \"ami-share-tests\"]", "[\"ami-share-tests\"]");
    fs::write(&stricter, changed).context("writing the stricter rules")?;
    let check = ["check", "--hide-inclusion-graph", "bans", "licenses"];
    let output = deny(&stricter.to_string_lossy(), &check)?.output().context("running cargo deny")?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "{complaints}");
    for complaint in ["crate 'aws-sdk-ec2 = ", "Unicode-3.0 - "] {
        ensure!(complaints.contains(complaint), "no `{complaint}` in:\n{complaints}");
    }
    Ok(())
}

/// The advisories are in a git repository on GitHub, which not every machine can reach.
#[test]
fn no_crate_has_an_advisory_or_is_yanked() -> Result<()> {
    let fetched = deny("deny.toml", &["fetch", "db"])?.output().context("running cargo deny fetch")?;
    if fetched.status.success() {
        return run(&mut deny("deny.toml", &["check", "advisories"])?);
    }
    let output = String::from_utf8_lossy(&fetched.stderr);
    ensure!(
        std::env::var_os("GITHUB_ACTIONS").is_none(),
        "a GitHub workflow could not reach GitHub:\n{output}"
    );
    let reason = output.lines().find_map(|line| line.strip_prefix("fatal: ")).unwrap_or(&output);
    // Not `eprintln!`, whose output a passing test does not show.
    writeln!(
        std::io::stderr(),
        "  SKIPPED: advisories and yanked crates are not checked: cannot fetch RustSec's database ({reason})"
    )?;
    Ok(())
}

#[test]
fn no_package_names_a_dependency_that_it_does_not_use() -> Result<()> {
    run(cargo_tools::tool("machete")?.arg("--skip-target-dir"))
}
