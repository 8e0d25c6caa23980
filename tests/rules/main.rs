//! The tests of the simulated AWS, and cfn-lint on the template: Python tests and tools that `cargo test` runs.

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
