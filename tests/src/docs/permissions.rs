//! docs/permissions.md.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::markdown::{code, codes, table};
use super::reasons::REASONS;
use crate::template::Template;

const HEAD: &str = "\
# Permissions

This page lists every statement of every role of the stack, and of the policies of its topic, queue and bucket. `cargo docs`
writes it from `template.yaml` and the reasons in `tests/src/docs/reasons.rs`; change it there.

`tests/permissions` compares `template.yaml` with what the functions did in whole flows: a permission that no flow uses fails
the build, and so does a call that is denied ([ADR 13](adr/0013-roles-have-the-permissions-that-flows-use.md)). What a stolen
role could do: [threat-model.md](threat-model.md#what-a-stolen-role-can-do).

`<hub>` is the hub's account, `<region>` its Region, `ami-share` the name of the stack, and the partition is `aws`. A name without
`arn:`, such as `HubBus`, is a resource or a parameter of the template.

## What SAM adds

SAM adds some permissions that the template does not show:

- AWS's managed policy `AWSLambdaBasicExecutionRole` lets each function write logs. Each function is denied all logs but its own.
- `notify-targets` and `review-shares` may send events that they failed to process to the dead-letter queue (`sqs:SendMessage`).
- Each EventBridge rule, and the schedule of the review, has a role that may start its workflow.
- With `Tracing` = `Active` each function has the managed policy `AWSXrayWriteOnlyAccess`.

## The ledger

Each function that reads or writes the ledger is limited to its rows by `dynamodb:LeadingKeys` (`IMAGE#…`, `KEY#…`, `AUDIT#…`).
The condition `Null` stands beside `ForAllValues`, which alone also holds for a request without the key.
";

/// What may have permissions.
const KINDS: [(&str, &str); 6] = [
    ("Functions", "AWS::Serverless::Function"),
    ("Workflows", "AWS::Serverless::StateMachine"),
    ("Roles", "AWS::IAM::Role"),
    ("Policies of topics", "AWS::SNS::TopicPolicy"),
    ("Policies of queues", "AWS::SQS::QueuePolicy"),
    ("Policies of buckets", "AWS::S3::BucketPolicy"),
];

struct Statement<'a> {
    fields: &'a Value,
    /// The condition of the template on which the statement depends.
    only_where: Option<&'a str>,
}

/// The whole page.
pub fn page(template: &Template) -> Result<String> {
    let mut page = HEAD.to_owned();
    let mut used = BTreeSet::new();
    for (title, kind) in KINDS {
        page.push_str(&format!("\n## {title}\n"));
        for (name, resource) in template.resources(kind)? {
            let who = who(name, resource);
            let row = |statement: &Statement<'_>| -> Result<Vec<String>> {
                let (at, why) = reason(who, statement)?;
                used.insert(at);
                statement.row(template, why).with_context(|| format!("{who}: {}", statement.fields))
            };
            let rows = statements(resource).iter().map(row).collect::<Result<Vec<_>>>()?;
            let table = table(&["statement", "actions", "resources", "condition", "why"], &rows);
            page.push_str(&format!("\n### {who}\n\n{table}"));
        }
    }
    let unused = REASONS.iter().enumerate().find(|(at, _)| !used.contains(at));
    if let Some((_, reason)) = unused {
        bail!("tests/src/docs/reasons.rs: no statement {} ({:?})", reason.sid, reason.of);
    }
    Ok(page)
}

/// Who has a role: the names of functions, workflows and roles, as the page has them.
pub fn roles(template: &Template) -> Result<BTreeSet<String>> {
    let mut roles = BTreeSet::new();
    for (_, kind) in KINDS.iter().filter(|(_, kind)| !kind.ends_with("Policy")) {
        roles.extend(
            template.resources(kind)?.into_iter().map(|(name, resource)| who(name, resource).to_owned()),
        );
    }
    Ok(roles)
}

/// The binary of a function; the name of any other resource.
fn who<'a>(name: &'a str, resource: &'a Value) -> &'a str {
    resource.pointer("/Metadata/BuildProperties/Binary").and_then(Value::as_str).unwrap_or(name)
}

/// The statements anywhere in a resource.
fn statements(resource: &Value) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    collect(resource, None, &mut statements);
    statements
}

fn collect<'a>(value: &'a Value, only_where: Option<&'a str>, statements: &mut Vec<Statement<'a>>) {
    match value {
        Value::Object(fields) if fields.contains_key("Effect") => {
            statements.push(Statement { fields: value, only_where });
        }
        Value::Object(fields) => {
            let condition = value.pointer("/Fn::If/0").and_then(Value::as_str).or(only_where);
            fields.values().for_each(|field| collect(field, condition, statements));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, only_where, statements)),
        _ => {}
    }
}

fn reason(who: &str, statement: &Statement<'_>) -> Result<(usize, &'static str)> {
    let sid = statement.sid();
    let mut candidates = REASONS.iter().enumerate().filter(|(_, reason)| reason.sid == sid);
    let found = candidates.find(|(_, reason)| reason.of.is_none_or(|of| of == who));
    let (at, reason) =
        found.with_context(|| format!("write into tests/src/docs/reasons.rs why {who} has {sid}"))?;
    Ok((at, reason.why))
}

impl<'a> Statement<'a> {
    fn sid(&self) -> &'a str {
        let action = || one_or_many(&self.fields["Action"]).first().and_then(|action| action.as_str());
        let action = action().and_then(|action| action.split(':').nth(1));
        self.fields["Sid"].as_str().or(action).unwrap_or_default()
    }

    fn row(&self, template: &Template, why: &str) -> Result<Vec<String>> {
        Ok(vec![
            code(self.sid()),
            self.actions()?,
            self.resources()?,
            self.condition(template)?,
            why.to_owned(),
        ])
    }

    fn actions(&self) -> Result<String> {
        let actions =
            one_or_many(&self.fields["Action"]).into_iter().map(short).collect::<Result<Vec<_>>>()?;
        let actions = codes(actions);
        let denies = self.fields["Effect"] == "Deny";
        let effect = if denies { "**denied:** " } else { "" };
        let principal = &self.fields["Principal"];
        Ok(match principal["Service"].as_str() {
            Some(service) => format!("{effect}{actions} by {}", code(service)),
            None if principal == "*" => format!("{effect}{actions} by everyone"),
            None => format!("{effect}{actions}"),
        })
    }

    fn resources(&self) -> Result<String> {
        let named = |field: &str| -> Result<Vec<String>> {
            one_or_many(&self.fields[field]).into_iter().map(short).collect()
        };
        let (resources, others) = (named("Resource")?, named("NotResource")?);
        Ok(match (resources.as_slice(), others.as_slice()) {
            ([], []) => "this role".to_owned(),
            ([all], []) if all == "*" => "all".to_owned(),
            (resources, []) => codes(resources),
            (_, others) => format!("all but {}", codes(others)),
        })
    }

    fn condition(&self, template: &Template) -> Result<String> {
        let mut conditions = Vec::new();
        if let Some(name) = self.only_where {
            let condition = template.section("Conditions")?.get(name);
            conditions.push(only_where(condition.with_context(|| format!("there is no condition {name}"))?)?);
        }
        for (operator, keys) in self.fields["Condition"].as_object().into_iter().flatten() {
            for (key, values) in keys.as_object().context("a condition without keys")? {
                let values = one_or_many(values).into_iter().map(short).collect::<Result<Vec<_>>>()?;
                conditions.push(format!("{} {}: {}", code(operator), code(key), codes(values)));
            }
        }
        Ok(if conditions.is_empty() { "none".to_owned() } else { conditions.join("<br>") })
    }
}

/// What a condition of the template asks of a parameter.
fn only_where(condition: &Value) -> Result<String> {
    let equals = |condition: &Value| -> Option<(String, String)> {
        let text = |pointer| Some(condition.pointer(pointer)?.as_str()?.to_owned());
        Some((text("/Fn::Equals/0/Ref")?, text("/Fn::Equals/1")?))
    };
    if let Some((parameter, value)) = equals(condition) {
        return Ok(format!("only where {} is {}", code(&parameter), code(&value)));
    }
    let (parameter, value) =
        condition.pointer("/Fn::Not/0").and_then(equals).context("a condition that asks no parameter")?;
    ensure!(value.is_empty(), "a condition that asks a parameter for more than being empty");
    Ok(format!("only where {} is set", code(&parameter)))
}

fn one_or_many(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    }
}

/// A value as the page has it: what CloudFormation fills in is named.
fn short(value: &Value) -> Result<String> {
    let filled_in = |name: &str| match name {
        "AWS::Partition" => "aws".to_owned(),
        "AWS::AccountId" => "<hub>".to_owned(),
        "AWS::Region" => "<region>".to_owned(),
        "AWS::StackName" => "ami-share".to_owned(),
        name => name.trim_end_matches(".Arn").to_owned(),
    };
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    if let Some(name) = value["Ref"].as_str().or(value["Fn::GetAtt"].as_str()) {
        return Ok(filled_in(name));
    }
    let mut rest = value["Fn::Sub"].as_str().with_context(|| format!("{value} is not understood"))?;
    let mut text = String::new();
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').context("an open ${")?;
        text.push_str(before);
        text.push_str(&filled_in(name));
        rest = after;
    }
    Ok(text + rest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "in tests")]

    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_shortened() {
        let arn = json!({ "Fn::Sub": "arn:${AWS::Partition}:ec2:${AWS::Region}::image/*" });
        assert_eq!(short(&arn).unwrap(), "arn:aws:ec2:<region>::image/*");
        assert_eq!(short(&json!({ "Fn::GetAtt": "Queue.Arn" })).unwrap(), "Queue");
        assert_eq!(short(&json!({ "Fn::Sub": "${Bucket.Arn}/reviews/*" })).unwrap(), "Bucket/reviews/*");
    }

    #[test]
    fn the_condition_of_the_template_on_which_a_statement_depends_is_kept() {
        let statement = json!({ "Sid": "A", "Effect": "Allow", "Action": "s3:GetObject" });
        let resource =
            json!({ "Statement": [{ "Fn::If": ["C", statement, { "Ref": "AWS::NoValue" }] }, statement] });
        let found: Vec<_> = statements(&resource).iter().map(|statement| statement.only_where).collect();
        assert_eq!(found, [Some("C"), None]);
    }

    #[test]
    fn a_condition_says_what_a_parameter_must_be() {
        let equals = |value: &str| json!({ "Fn::Equals": [{ "Ref": "P" }, value] });
        assert_eq!(only_where(&equals("x")).unwrap(), "only where `P` is `x`");
        assert_eq!(only_where(&json!({ "Fn::Not": [equals("")] })).unwrap(), "only where `P` is set");
    }
}
