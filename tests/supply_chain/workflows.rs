//! The workflows of GitHub, which build and check a release: nobody runs them here, so they are read.

use anyhow::Result;

use crate::{python, run};

#[test]
fn the_workflows_keep_the_schema_that_github_gives_them() -> Result<()> {
    let workflows =
        [".github/workflows/ci.yml", ".github/workflows/advisories.yml", ".github/workflows/release.yml"];
    run(python("check-jsonschema")?.args(["--builtin-schema", "vendor.github-workflows"]).args(workflows))?;
    run(python("check-jsonschema")?.args(["--builtin-schema", "vendor.dependabot", ".github/dependabot.yml"]))
}

/// Every action by its commit, no permission that is not needed, nothing of a stranger's in a shell.
/// <https://docs.zizmor.sh/audits/>
#[test]
fn the_workflows_give_nobody_a_way_in() -> Result<()> {
    run(python("zizmor")?.args(["--offline", "--no-progress", "--persona", "pedantic", ".github"]))
}
