//! What the roles of the template may do is what the whole flows did, no more and no less.
//!
//! Cargo runs this after `flow`, whose stacks have written down which statement of a role allowed which call.

use ami_share_tests::{install, workspace};
use anyhow::Result;

#[test]
fn every_permission_is_used_by_a_whole_flow_and_no_flow_lacks_one() -> Result<()> {
    let (functions, record) = (workspace::binaries(), workspace::permission_record());
    let (functions, record) = (functions.to_string_lossy(), record.to_string_lossy());
    install::run_python(&["-m", "simulated_aws.iam.unused_permissions", "template.yaml", &functions, &record])
}

#[test]
fn every_statement_names_what_its_actions_know() -> Result<()> {
    install::run_python(&["-m", "simulated_aws.iam.permission_lint", "template.yaml"])
}
