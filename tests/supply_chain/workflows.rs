//! The GitHub workflows that build and check a release. The tests cannot run them, so they check their files.

use anyhow::Result;

use crate::{python, run};

#[test]
fn the_github_workflows_match_their_schema() -> Result<()> {
    let workflows =
        [".github/workflows/ci.yml", ".github/workflows/advisories.yml", ".github/workflows/release.yml"];
    run(python("check-jsonschema")?.args(["--builtin-schema", "vendor.github-workflows"]).args(workflows))?;
    run(python("check-jsonschema")?.args(["--builtin-schema", "vendor.dependabot", ".github/dependabot.yml"]))
}

/// Actions pinned by commit, no unneeded permission, no untrusted input in a shell.
/// <https://docs.zizmor.sh/audits/>
#[test]
fn the_github_workflows_pass_the_security_audit() -> Result<()> {
    run(python("zizmor")?.args(["--offline", "--no-progress", "--persona", "pedantic", ".github"]))
}
