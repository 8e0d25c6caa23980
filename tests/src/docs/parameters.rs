//! docs/parameters.md.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::markdown::{code, codes, prose, table};
use crate::template::Template;

const HEAD: &str = "\
# Parameters

This page lists every parameter of the stack, in the groups in which CloudFormation shows them. `cargo docs` writes it from
`template.yaml`; change it there.

Set a parameter when you deploy:

```
sam deploy --stack-name ami-share --parameter-overrides ReviewSchedule='cron(0 3 * * ? *)' LogLevel=debug
```

A parameter that you do not name keeps its value in a deployed stack, and has its default in a new one. How to deploy:
[deploy.md](deploy.md).
";

/// Where a parameter is explained further.
const MORE: [(&str, &str); 13] = [
    ("Sharing", "See [lifecycle.md](lifecycle.md)."),
    ("AllowedExternalAccounts", "See [security.md](security.md)."),
    ("AllowedExternalOrganizations", "See [security.md](security.md)."),
    ("MaxTargetsPerImage", "See [limits.md](limits.md)."),
    ("MakePublicImagesPrivate", "See [drift.md](drift.md)."),
    ("OrganizationRoleArn", "See [deploy.md](deploy.md#3-allow-the-hub-to-read-the-organization)."),
    ("OrganizationCacheSeconds", "See [organization-events.md](organization-events.md)."),
    ("TargetBusName", "See [deploy.md](deploy.md#7-create-a-bus-in-each-target-account)."),
    ("WarnIfInUse", "See [revocation.md](revocation.md#is-the-image-still-in-use)."),
    ("ReviewSchedule", "See [access-review.md](access-review.md)."),
    ("Ledger", "See [lifecycle.md](lifecycle.md#what-stays-when-the-stack-is-deleted)."),
    ("EndpointUrl", "See [local.md](local.md#run-a-function-in-a-container)."),
    ("Tracing", "See [observability.md](observability.md#traces)."),
];

/// The whole page.
pub fn page(template: &Template) -> Result<String> {
    let parameters = template.section("Parameters")?;
    let mut page = HEAD.to_owned();
    let mut grouped = 0;
    for (label, names) in template.parameter_groups()? {
        let row = |name: &&str| -> Result<Vec<String>> {
            let parameter = parameters.get(*name).with_context(|| format!("there is no parameter {name}"))?;
            Ok(vec![code(name), default(parameter), allowed(parameter), meaning(name, parameter)])
        };
        let rows = names.iter().map(row).collect::<Result<Vec<_>>>()?;
        grouped += rows.len();
        let table = table(&["parameter", "default", "allowed", "meaning"], &rows);
        page.push_str(&format!("\n## {label}\n\n{table}"));
    }
    ensure!(grouped == parameters.len(), "a parameter of template.yaml is in no group, or in two");
    let unknown = MORE.iter().find(|(name, _)| !parameters.contains_key(*name));
    ensure!(unknown.is_none(), "tests/src/docs/parameters.rs explains {unknown:?}, which is no parameter");
    Ok(page)
}

fn default(parameter: &Value) -> String {
    match plain(&parameter["Default"]) {
        default if default.is_empty() => "empty".to_owned(),
        default => code(&default),
    }
}

fn allowed(parameter: &Value) -> String {
    if let Some(values) = parameter["AllowedValues"].as_array() {
        return codes(values.iter().map(plain));
    }
    if !parameter["MinValue"].is_null() {
        return format!("{} to {}", plain(&parameter["MinValue"]), plain(&parameter["MaxValue"]));
    }
    let what = match parameter["ConstraintDescription"].as_str() {
        Some(description) => prose(description.trim_start_matches("must be ")),
        None => code(&plain(&parameter["AllowedPattern"])),
    };
    let may_be_empty = parameter["AllowedPattern"].as_str().is_some_and(|pattern| pattern.starts_with("^$|"));
    if may_be_empty { format!("empty, or {what}") } else { what }
}

fn meaning(name: &str, parameter: &Value) -> String {
    let description = prose(&plain(&parameter["Description"]));
    let more = MORE.iter().find(|(of, _)| *of == name);
    more.map_or(description.clone(), |(_, more)| format!("{description} {more}"))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
