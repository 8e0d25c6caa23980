//! An AWS organization as it was read: its tree, its accounts, and the tags that selectors ask about.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, OrgPath, OrganizationArn, OrganizationId, OuArn, OuId, RootId};
use crate::tags::selector::Selector;

/// How much of the organization a set of selectors needs; more costs more calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The accounts without their places: one paged list.
    Accounts,
    /// The whole tree: two paged lists for each OU.
    Tree,
    /// The tree with the tags of every account and OU: one more call for each.
    Tags,
}

impl Scope {
    /// The least that `selectors` need.
    pub fn needed_by<'a>(selectors: impl IntoIterator<Item = &'a Selector>) -> Self {
        selectors
            .into_iter()
            .map(|selector| match selector {
                Selector::Account(_) | Selector::OwnOrganization | Selector::Organization(_) => {
                    Self::Accounts
                }
                Selector::Ou(_) | Selector::Root(_) => Self::Tree,
                Selector::Tagged { .. } => Self::Tags,
            })
            .max()
            .unwrap_or(Self::Accounts)
    }
}

/// Where an account or OU hangs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Parent {
    /// Directly under the root.
    Root(RootId),
    /// In an OU.
    Ou(OuId),
}

/// An organizational unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its ARN, which launch permissions need.
    pub arn: OuArn,
    /// Where it hangs.
    pub parent: Parent,
    /// Its tags, when the scope asked for them.
    pub tags: BTreeMap<String, String>,
}

/// An account of the organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Where it hangs, when the scope asked for the tree.
    pub parent: Option<Parent>,
    /// Whether it can be used: not closed, suspended or still to be activated.
    pub active: bool,
    /// Its tags, when the scope asked for them.
    pub tags: BTreeMap<String, String>,
}

/// An organization as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its ARN, which launch permissions need.
    pub arn: OrganizationArn,
    /// Its roots (AWS has one in each organization).
    pub roots: BTreeSet<RootId>,
    /// Its OUs.
    pub units: BTreeMap<OuId, Unit>,
    /// Its accounts, closed ones included.
    pub accounts: BTreeMap<AccountId, Account>,
}

impl Organization {
    /// The path of an OU from the organization, ending in `/*`.
    pub fn path(&self, ou: &OuId) -> Option<OrgPath> {
        let mut units: Vec<&OuId> = Vec::new();
        let mut at = ou;
        loop {
            units.push(at);
            // A tree that was read while it changed may have a loop; it has no path.
            if units.len() > self.units.len() {
                return None;
            }
            match &self.units.get(at)?.parent {
                Parent::Ou(parent) => at = parent,
                Parent::Root(root) => {
                    let units: Vec<&str> = units.iter().rev().map(|unit| unit.as_str()).collect();
                    return format!("{}/{root}/{}/*", self.id, units.join("/")).parse().ok();
                }
            }
        }
    }

    /// Whether something that hangs under `parent` lies in `ou`, at any depth.
    pub fn lies_in(&self, parent: &Parent, ou: &OuId) -> bool {
        let mut parent = Some(parent);
        for _ in 0..=self.units.len() {
            match parent {
                Some(Parent::Ou(at)) if at == ou => return true,
                Some(Parent::Ou(at)) => parent = self.units.get(at).map(|unit| &unit.parent),
                Some(Parent::Root(_)) | None => return false,
            }
        }
        false
    }

    /// The usable accounts in `ou`, at any depth.
    pub fn active_accounts_in(&self, ou: &OuId) -> BTreeSet<AccountId> {
        self.active_accounts(|account| account.parent.as_ref().is_some_and(|parent| self.lies_in(parent, ou)))
    }

    /// All usable accounts.
    pub fn all_active_accounts(&self) -> BTreeSet<AccountId> {
        self.active_accounts(|_| true)
    }

    fn active_accounts(&self, is_desired: impl Fn(&Account) -> bool) -> BTreeSet<AccountId> {
        let desired = self.accounts.iter().filter(|(_, account)| account.active && is_desired(account));
        desired.map(|(id, _)| id.clone()).collect()
    }
}
