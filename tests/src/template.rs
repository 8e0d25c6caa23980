//! Reads `template.yaml`: as JSON, with CloudFormation's short forms written out, so `!Ref A` is `{"Ref": "A"}`.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html>

use std::fs;

use anyhow::{Context, Result, bail};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

use crate::workspace;

/// The template of this checkout.
pub struct Template(Value);

impl Template {
    /// Reads and parses `template.yaml`.
    pub fn read() -> Result<Self> {
        let text = fs::read_to_string(workspace::file("template.yaml")).context("reading template.yaml")?;
        Self::parse(&text).context("template.yaml")
    }

    fn parse(text: &str) -> Result<Self> {
        let mut documents = Yaml::load_from_str(text)?;
        let document = documents.pop().context("no document")?;
        Ok(Self(json(&document)?))
    }

    /// A section such as `Resources`: the names in it and their definitions, in the order of the file.
    pub fn section(&self, name: &str) -> Result<&Map<String, Value>> {
        self.0
            .get(name)
            .and_then(Value::as_object)
            .with_context(|| format!("template.yaml has no section {name}"))
    }

    /// The resources of a type such as `AWS::CloudWatch::Alarm`.
    pub fn resources(&self, of_type: &str) -> Result<Vec<(&str, &Value)>> {
        let resources = self.section("Resources")?.iter();
        let of_type = resources.filter(|(_, resource)| resource["Type"] == of_type);
        Ok(of_type.map(|(name, resource)| (name.as_str(), resource)).collect())
    }

    /// The labels of the groups of parameters, each with the names of its parameters.
    pub fn parameter_groups(&self) -> Result<Vec<(&str, Vec<&str>)>> {
        let groups = self.0.pointer("/Metadata/AWS::CloudFormation::Interface/ParameterGroups");
        let groups = groups.and_then(Value::as_array).context("template.yaml has no ParameterGroups")?;
        let parts = |group| parts(group).context("a group without a label or parameters");
        groups.iter().map(parts).collect()
    }
}

fn parts(group: &Value) -> Option<(&str, Vec<&str>)> {
    let parameters = group["Parameters"].as_array()?;
    Some((group.pointer("/Label/default")?.as_str()?, parameters.iter().filter_map(Value::as_str).collect()))
}

fn json(node: &Yaml<'_>) -> Result<Value> {
    Ok(match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => (*value).into(),
        Yaml::Value(Scalar::Integer(value)) => (*value).into(),
        Yaml::Value(Scalar::FloatingPoint(value)) => value.into_inner().into(),
        Yaml::Value(Scalar::String(value)) => value.as_ref().into(),
        Yaml::Sequence(items) => items.iter().map(json).collect::<Result<Vec<_>>>()?.into(),
        Yaml::Mapping(entries) => {
            let entry = |(key, value): (&Yaml<'_>, &Yaml<'_>)| -> Result<(String, Value)> {
                Ok((key.as_str().context("a key that is no string")?.to_owned(), json(value)?))
            };
            Value::Object(entries.iter().map(entry).collect::<Result<_>>()?)
        }
        Yaml::Tagged(tag, value) => {
            let function = match tag.suffix.as_str() {
                "Ref" | "Condition" => tag.suffix.clone(),
                function => format!("Fn::{function}"),
            };
            Value::Object(Map::from_iter([(function, json(value)?)]))
        }
        Yaml::Representation(..) | Yaml::Alias(_) | Yaml::BadValue => bail!("{node:?} is not understood"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "in tests")]

    use serde_json::json;

    use super::*;

    #[test]
    fn short_forms_of_functions_are_written_out() {
        let template =
            Template::parse("A: !Sub a-${B}\nC: !If [D, !GetAtt E.Arn, !Ref F]\nG: \"true\"\nH: 1\n");
        let expected = json!({
            "A": { "Fn::Sub": "a-${B}" },
            "C": { "Fn::If": ["D", { "Fn::GetAtt": "E.Arn" }, { "Ref": "F" }] },
            "G": "true",
            "H": 1,
        });
        assert_eq!(template.unwrap().0, expected);
    }
}
