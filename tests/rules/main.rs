//! The simulated AWS's own rules, and the template's lint: Python's tests and tools, run as part of `cargo test`.

use ami_share_tests::install::run_python;
use anyhow::Result;

#[test]
fn the_simulated_aws_follows_the_rules_that_aws_documents() -> Result<()> {
    // `-rs` names each skipped test with its reason.
    run_python(&["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests/simulated_aws_rules"])
}

#[test]
fn the_expanded_template_passes_cfn_lint() -> Result<()> {
    run_python(&["-m", "simulated_aws.cloudformation.lint", "template.yaml"])
}
