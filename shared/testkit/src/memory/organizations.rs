//! AWS Organizations: the tree of OUs and accounts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::memory::HUB;
use crate::memory::answer::{Answer, Refused};
use crate::memory::input::{text_or_empty, unknown_operation};

/// An OU or an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// The OU or root that it is in.
    pub parent: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Whether it is not closed.
    pub is_active: bool,
}

/// An organization; without an id, the hub is in none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Organizations {
    /// Its id.
    pub id: String,
    /// Its root.
    pub root: String,
    /// The OUs, by id.
    pub units: BTreeMap<String, Node>,
    /// The accounts, by id.
    pub accounts: BTreeMap<String, Node>,
}

impl Organizations {
    /// Answers one call.
    pub fn call(&mut self, operation: &str, input: &Value) -> Answer {
        if self.id.is_empty() {
            return Err(Refused::new(
                "AWSOrganizationsNotInUseException",
                "Your account is not a member of an organization.",
            ));
        }
        let parent = text_or_empty(input, "ParentId");
        match operation {
            "DescribeOrganization" => Ok(json!({ "Organization": {
                "Id": self.id,
                "Arn": format!("arn:aws:organizations::{HUB}:organization/{}", self.id),
            }})),
            "ListRoots" => Ok(json!({ "Roots": [{ "Id": self.root }] })),
            "ListAccounts" => Ok(json!({ "Accounts": self.accounts_in(None) })),
            "ListAccountsForParent" => Ok(json!({ "Accounts": self.accounts_in(Some(parent)) })),
            "ListOrganizationalUnitsForParent" => {
                let units = self.units.iter().filter(|(_, unit)| unit.parent == parent);
                let unit = |(id, _): (&String, &Node)| json!({ "Id": id, "Arn": self.unit_arn(id) });
                Ok(json!({ "OrganizationalUnits": units.map(unit).collect::<Vec<_>>() }))
            }
            "ListTagsForResource" => {
                let id = text_or_empty(input, "ResourceId");
                let node = self.units.get(id).or(self.accounts.get(id));
                let node = node.ok_or_else(|| Refused::new("TargetNotFoundException", "no such target"))?;
                let tag = |(key, value)| json!({ "Key": key, "Value": value });
                Ok(json!({ "Tags": node.tags.iter().map(tag).collect::<Vec<_>>() }))
            }
            other => Err(unknown_operation("Organizations", other)),
        }
    }

    /// The ARN by which EC2 names an OU.
    pub fn unit_arn(&self, id: &str) -> String {
        format!("arn:aws:organizations::{HUB}:ou/{}/{id}", self.id)
    }

    fn accounts_in(&self, parent: Option<&str>) -> Vec<Value> {
        let accounts = self.accounts.iter();
        let accounts = accounts.filter(|(_, account)| parent.is_none_or(|parent| account.parent == parent));
        let described = |(id, account): (&String, &Node)| {
            let state = if account.is_active { "ACTIVE" } else { "SUSPENDED" };
            json!({ "Id": id, "Status": state, "State": state })
        };
        accounts.map(described).collect()
    }
}
