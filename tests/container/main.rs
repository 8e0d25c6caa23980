//! Runs the documents' command lines for building and running a function: `sam validate`, `sam build` and
//! `sam local invoke`, the last one in real containers if the machine has an engine for them.

mod readme;
mod release;
mod sam;

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;

use ami_share_tests::progress::say;
use ami_share_tests::stack::{Options, Stack};
use ami_share_tests::workspace;
use anyhow::{Context, Result};
use serde_json::Value;

/// The Region that the documents in `events/` name.
const REGION: &str = "eu-west-1";

#[test]
fn sam_finds_nothing_wrong_with_the_template() -> Result<()> {
    sam::run(&readme::command("sam validate")?)
}

#[test]
fn sam_builds_every_function_into_a_small_artifact() -> Result<()> {
    let built = sam::build()?;
    sam::pytest("test_artifacts.py", &[("AMI_SHARE_BUILT", built.display().to_string())])?;
    let sizes =
        fs::read_to_string(sam::scratch().join("sizes.txt")).context("reading the artifacts' sizes")?;
    // Not `eprintln!`, whose output a passing test does not show.
    write!(std::io::stderr(), "{sizes}")?;
    Ok(())
}

#[test]
fn what_is_released_is_a_stack_that_can_be_deployed_from_where_it_is_unpacked() -> Result<()> {
    let built = sam::build()?;
    let Ok(built) = built.strip_prefix(workspace::root()) else {
        writeln!(
            std::io::stderr(),
            "  SKIPPED: no release was packed: cargo builds outside of this checkout"
        )?;
        return Ok(());
    };
    let (first, again) = (release::pack(built, "release")?, release::pack(built, "release-again")?);
    anyhow::ensure!(
        release::digests(&first)? == release::digests(&again)?,
        "the same release has other digests when it is packed again"
    );
    sam::pytest(
        "test_release.py",
        &[
            ("AMI_SHARE_BUILT", built.display().to_string()),
            ("AMI_SHARE_RELEASE", first.display().to_string()),
        ],
    )
}

#[test]
fn every_function_does_in_a_container_what_it_does_in_the_simulated_aws() -> Result<()> {
    let engine: Value =
        serde_json::from_slice(&sam::python(&["engine.py"])?).context("parsing the output of engine.py")?;
    if let Some(reason) = engine.get("skipped").and_then(Value::as_str) {
        writeln!(std::io::stderr(), "  SKIPPED: no function ran in a container: {reason}")?;
        return Ok(());
    }
    let address = engine.get("address").and_then(Value::as_str).context("the engine has no address")?;
    let built = sam::build()?;
    say("running every function in a container, once for each document in events/");
    let world = stack(Some(address.parse().context("the engine's address")?))?;
    let reference = stack(None)?;
    sam::pytest(
        "test_functions.py",
        &[
            ("AMI_SHARE_BUILT", built.display().to_string()),
            ("AMI_SHARE_INVOKE", readme::command("sam local invoke")?.join(" ")),
            ("AMI_SHARE_ENDPOINT", world.endpoint().to_owned()),
            ("AMI_SHARE_REFERENCE", reference.endpoint().to_owned()),
        ],
    )?;
    world.stop()?;
    reference.stop()
}

/// A simulated AWS whose new resources get the ids that the documents in `events/` name.
fn stack(address: Option<Ipv4Addr>) -> Result<Stack> {
    let ids = sam::python(&["world.py"])?;
    let environment = [
        ("SIMULATED_AWS_IDS", String::from_utf8(ids).context("the output of world.py is not UTF-8")?),
        ("SIMULATED_AWS_REPORT_DELAY", "0".to_owned()),
        ("SIMULATED_AWS_IMAGE_DELAY", "0".to_owned()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Stack::start(
        &Options { address, region: Some(REGION.to_owned()), environment, ..Options::default() },
        |_| (),
    )
}

#[test]
fn the_readme_pins_the_tools_that_are_used_here() -> Result<()> {
    let requirements = fs::read_to_string(workspace::file(sam::REQUIREMENTS))?;
    for pin in readme::command("pip install")?.iter().filter(|argument| argument.contains("==")) {
        anyhow::ensure!(
            requirements.lines().any(|line| line == pin),
            "the documents have {pin}, {} does not",
            sam::REQUIREMENTS
        );
    }
    Ok(())
}
