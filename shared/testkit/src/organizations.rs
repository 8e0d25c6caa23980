//! Small organizations: a builder for what a test is about, and a strategy for arbitrary trees.

use std::collections::{BTreeMap, BTreeSet};

use ami_share_domain::ids::{AccountId, OuId};
use ami_share_domain::targets::organization::{Account, Organization, Parent, Unit};
use proptest::prelude::*;

use crate::ids::{OWN_ROOT, account, hub, id, organization_arn, ou, ou_arn, own_organization};

/// AWS lets OUs nest five deep below the root. Source:
/// <https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html>
const DEPTH: usize = 5;

/// Tags of accounts and OUs.
pub type Tags = BTreeMap<String, String>;

/// Builds the hub's organization, in which the hub is directly under the root.
#[derive(Debug, Clone)]
pub struct Tree(Organization);

/// Starts with an organization that has only the hub.
pub fn tree() -> Tree {
    let organization = Organization {
        id: own_organization(),
        arn: organization_arn(&own_organization()),
        roots: BTreeSet::from([id(OWN_ROOT)]),
        units: BTreeMap::new(),
        accounts: BTreeMap::new(),
    };
    Tree(organization).account(hub(), None)
}

impl Tree {
    /// Adds OU number `number`, under OU number `parent` or the root.
    #[must_use]
    pub fn unit(mut self, number: usize, parent: Option<usize>) -> Self {
        let unit = Unit { arn: ou_arn(&ou(number)), parent: parent_of(parent), tags: Tags::new() };
        self.0.units.insert(ou(number), unit);
        self
    }

    /// Adds an account under OU number `parent` or the root.
    #[must_use]
    pub fn account(mut self, id: AccountId, parent: Option<usize>) -> Self {
        let account = Account { parent: Some(parent_of(parent)), active: true, tags: Tags::new() };
        self.0.accounts.insert(id, account);
        self
    }

    /// Closes an account that was added.
    #[must_use]
    pub fn closed(mut self, id: &AccountId) -> Self {
        self.0.accounts.get_mut(id).unwrap().active = false;
        self
    }

    /// Tags an account that was added.
    #[must_use]
    pub fn tagged_account(mut self, id: &AccountId, tags: Tags) -> Self {
        self.0.accounts.get_mut(id).unwrap().tags = tags;
        self
    }

    /// Tags an OU that was added.
    #[must_use]
    pub fn tagged_unit(mut self, id: &OuId, tags: Tags) -> Self {
        self.0.units.get_mut(id).unwrap().tags = tags;
        self
    }

    /// The organization.
    pub fn build(self) -> Organization {
        self.0
    }
}

fn parent_of(unit: Option<usize>) -> Parent {
    unit.map_or_else(|| Parent::Root(id(OWN_ROOT)), |number| Parent::Ou(ou(number)))
}

/// The strategies choose the tags of accounts, OUs and `tag:` selectors from these.
pub const TAGS: [(&str, &str); 4] = [("Env", "prod"), ("Env", "dev"), ("Team", "red"), ("Share", "")];

/// Up to two of [`TAGS`].
fn tags() -> impl Strategy<Value = Tags> {
    prop::collection::vec(prop::sample::select(TAGS.to_vec()), 0..=2)
        .prop_map(|tags| tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

/// Any tree of OUs `1..=8` and accounts `1..=10`, some of which are closed. It shrinks towards the hub alone.
pub fn organizations() -> impl Strategy<Value = Organization> {
    let units = prop::collection::vec((any::<prop::sample::Index>(), tags()), 0..=8);
    let is_active = prop::bool::weighted(0.8);
    let accounts = prop::collection::vec((any::<prop::sample::Index>(), tags(), is_active), 0..=10);
    (units, accounts).prop_map(|(units, accounts)| {
        let count = units.len();
        let mut tree = tree();
        let mut depths = vec![0];
        for (position, (place, tags)) in units.into_iter().enumerate() {
            let number = position + 1;
            // Place 0 is the root, any other place an OU that was added before this one.
            let parent = Some(place.index(number)).filter(|parent| *parent > 0 && depths[*parent] < DEPTH);
            depths.push(parent.map_or(0, |parent| depths[parent]) + 1);
            tree = tree.unit(number, parent).tagged_unit(&ou(number), tags);
        }
        for (position, (place, tags, is_active)) in accounts.into_iter().enumerate() {
            let id = account(position + 1);
            let parent = Some(place.index(count + 1)).filter(|parent| *parent > 0);
            tree = tree.account(id.clone(), parent).tagged_account(&id, tags);
            tree = if is_active { tree } else { tree.closed(&id) };
        }
        tree.build()
    })
}
