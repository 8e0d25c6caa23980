//! From selectors to targets: which targets get the image, what is refused and why, with overlaps folded.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::ids::{AccountId, OrganizationArn, OrganizationId, OuId};
use crate::refusal::{Refusal, RefusalReason};
use crate::tags::selector::Selector;
use crate::tags::share_tags::{ShareTags, UNTIL, Until, WITH};
use crate::targets::limits::{Limits, Sharing};
use crate::targets::organization::Organization;
use crate::targets::revocation_reason::RevocationReason;
use crate::targets::target::Target;

/// What the tags come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// The targets that get the image, in a fixed order; none covers another.
    pub targets: Vec<Target>,
    /// The targets that retain the access they have and get nothing new.
    pub retained: Vec<Target>,
    /// What gets nothing.
    pub refused: Vec<Refusal>,
    /// Whether there may be more accounts behind the retained targets than they list.
    pub has_unknown_accounts: bool,
    /// When access ends.
    pub until: Option<Timestamp>,
    /// Why all shares end: their end has come, or the stack revokes everything.
    pub revocation_reason: Option<RevocationReason>,
}

/// The last intent.
#[derive(Debug, Clone, Copy)]
pub struct Previous<'a> {
    /// The names of the targets.
    pub targets: &'a [String],
    /// The OUs and organizations among them, without the accounts behind them.
    pub groups: &'a [Target],
    /// When access was to end.
    pub until: Option<Timestamp>,
}

/// Everything that the decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The hub's organization; `None` when the hub is in none.
    pub organization: Option<&'a Organization>,
    /// What the stack allows beyond it.
    pub limits: &'a Limits,
    /// The account that owns the images; it needs no share of its own.
    pub hub: &'a AccountId,
    /// The last intent.
    pub previous: Previous<'a>,
    /// The moment of the decision.
    pub now: Timestamp,
}

/// Whether the decision depends on the organization. It does not where there is no selector, or where no target gets
/// access whatever the selectors say: access must end even if the organization cannot be read.
pub fn needs_organization(tags: &ShareTags, context: &Context<'_>) -> bool {
    let end = match tags.until {
        Until::Open => None,
        Until::At(end) => Some(end),
        Until::Unreadable => context.previous.until,
    };
    let is_past = end.is_some_and(|end| end <= context.now);
    !tags.selectors.is_empty() && !is_past && context.limits.sharing == Sharing::Enabled
}

/// Decides which targets get the image. The order of the selectors does not matter.
pub fn resolve(tags: &ShareTags, context: &Context<'_>) -> Targets {
    let empty = Targets {
        targets: Vec::new(),
        retained: Vec::new(),
        refused: tags.refused.clone(),
        has_unknown_accounts: false,
        until: None,
        revocation_reason: None,
    };
    let previous = context.previous;
    if let Some(end) = previous.end(tags.until).filter(|end| *end <= context.now) {
        return Targets {
            until: Some(end),
            revocation_reason: Some(RevocationReason::Expired { at: end }),
            ..empty
        };
    }
    if context.limits.sharing == Sharing::Disabled {
        return Targets {
            refused: Vec::new(),
            revocation_reason: Some(RevocationReason::SharingDisabled),
            ..empty
        };
    }
    match tags.until {
        Until::Open => select(tags, context, empty),
        Until::At(end) if end > context.now => select(tags, context, Targets { until: Some(end), ..empty }),
        Until::At(until) => with_refusal(empty, Refusal::new(UNTIL, RefusalReason::Expired { until })),
        Until::Unreadable => {
            let (found, empty) = find(tags, context, Targets { until: previous.until, ..empty });
            Targets { retained: found.previous(context).fold(context), ..empty }
        }
    }
}

impl Previous<'_> {
    /// The end that the last intent had, and that the tag still says. If the tag cannot be parsed, the last end holds, so
    /// that a typing error makes no share open-ended.
    fn end(self, until: Until) -> Option<Timestamp> {
        match until {
            Until::Open => None,
            Until::At(end) => self.until.filter(|previous| *previous == end),
            Until::Unreadable => self.until,
        }
    }
}

/// Adds to `empty` what the selectors pick.
fn select(tags: &ShareTags, context: &Context<'_>, empty: Targets) -> Targets {
    let (found, empty) = find(tags, context, empty);
    let targets = found.clone().fold(context);
    let limit = context.limits.target_limit;
    if targets.len() > limit {
        let retained = found.previous(context).fold(context);
        let reason = RefusalReason::TooManyTargets { targets: targets.len(), limit };
        return Targets { retained, ..with_refusal(empty, Refusal::new(WITH, reason)) };
    }
    Targets { targets, ..empty }
}

/// What the selectors pick, and `empty` with the selectors that pick nothing.
fn find(tags: &ShareTags, context: &Context<'_>, empty: Targets) -> (Found, Targets) {
    let has_end = tags.until != Until::Open;
    let mut selection = Selection { context, has_end, found: Found::default(), refused: empty.refused };
    for selector in &tags.selectors {
        selection.select(selector);
    }
    let Selection { found, refused, .. } = selection;
    (found, Targets { refused, ..empty })
}

fn with_refusal(targets: Targets, refusal: Refusal) -> Targets {
    let refused = targets.refused.into_iter().chain([refusal]).collect();
    Targets { refused, ..targets }
}

/// What the selectors picked, before overlaps are folded; each with the `tag:` selectors that led to it.
#[derive(Default, Clone)]
struct Found {
    accounts: BTreeMap<AccountId, BTreeSet<String>>,
    units: BTreeMap<OuId, BTreeSet<String>>,
    organizations: BTreeMap<OrganizationId, OrganizationArn>,
}

/// Collects what the selectors pick and what is refused.
struct Selection<'a> {
    context: &'a Context<'a>,
    has_end: bool,
    found: Found,
    refused: Vec<Refusal>,
}

impl Selection<'_> {
    fn select(&mut self, selector: &Selector) {
        match selector {
            Selector::Account(id) => self.account(id),
            Selector::Ou(id) => self.unit(id),
            Selector::Root(id) => match self.context.organization {
                Some(own) if own.roots.contains(id) => self.own_organization(own),
                _ => self.refuse(id, RefusalReason::UnknownRoot),
            },
            Selector::OwnOrganization => match self.context.organization {
                Some(own) => self.own_organization(own),
                None => self.refuse(selector, RefusalReason::NoOrganization),
            },
            Selector::Organization(id) => self.organization(id),
            Selector::Tagged { key, value } => self.tagged(selector, key, value),
        }
    }

    fn account(&mut self, id: &AccountId) {
        let target_account = self.context.organization.and_then(|own| own.accounts.get(id));
        match target_account {
            Some(account) if account.active => self.add_account(id, None),
            Some(_) => self.refuse(id, RefusalReason::ClosedAccount),
            None if id == self.context.hub => self.add_account(id, None),
            None if !self.context.limits.external_accounts.contains(id) => {
                self.refuse(id, RefusalReason::ExternalAccount);
            }
            None => {
                if self.external_may_have_it(id) {
                    self.add_account(id, None);
                }
            }
        }
    }

    fn organization(&mut self, id: &OrganizationId) {
        if let Some(own) = self.context.organization.filter(|own| own.id == *id) {
            return self.own_organization(own);
        }
        match self.context.limits.external_organizations.get(id) {
            None => self.refuse(id, RefusalReason::ExternalOrganization),
            Some(arn) => {
                if self.external_may_have_it(id) {
                    self.found.organizations.insert(id.clone(), arn.clone());
                }
            }
        }
    }

    fn unit(&mut self, id: &OuId) {
        match self.context.organization {
            Some(own) if own.path(id).is_some() => {
                self.found.units.entry(id.clone()).or_default();
            }
            _ => self.refuse(id, RefusalReason::UnknownOu),
        }
    }

    fn own_organization(&mut self, own: &Organization) {
        self.found.organizations.insert(own.id.clone(), own.arn.clone());
    }

    fn tagged(&mut self, selector: &Selector, key: &str, value: &str) {
        let carries = |tags: &BTreeMap<String, String>| tags.get(key).is_some_and(|has| has == value);
        let mut matched = false;
        let name = selector.to_string();
        if let Some(own) = self.context.organization {
            for (id, _) in own.accounts.iter().filter(|(_, account)| account.active && carries(&account.tags))
            {
                matched = true;
                self.add_account(id, Some(&name));
            }
            for (id, _) in own.units.iter().filter(|(id, unit)| carries(&unit.tags) && own.path(id).is_some())
            {
                matched = true;
                self.found.units.entry(id.clone()).or_default().insert(name.clone());
            }
        }
        if !matched {
            self.refuse(selector, RefusalReason::NoMatch);
        }
    }

    fn add_account(&mut self, id: &AccountId, through: Option<&str>) {
        let names = self.found.accounts.entry(id.clone()).or_default();
        names.extend(through.map(str::to_owned));
    }

    fn external_may_have_it(&mut self, name: &impl ToString) -> bool {
        let may = self.has_end || !self.context.limits.external_needs_until;
        if !may {
            self.refuse(name, RefusalReason::NeedsUntil);
        }
        may
    }

    fn refuse(&mut self, subject: &impl ToString, reason: RefusalReason) {
        self.refused.push(Refusal::new(subject.to_string(), reason));
    }
}

impl Found {
    /// Those that the last intent had. An account that it had stays even when its OU, which gets nothing new, is
    /// named besides.
    fn previous(mut self, context: &Context<'_>) -> Self {
        let was_desired = |name: &str| context.previous.targets.iter().any(|previous| previous == name);
        self.accounts.retain(|id, _| was_desired(id.as_str()));
        self.units.retain(|id, _| was_desired(id.as_str()));
        self.organizations.retain(|id, _| was_desired(id.as_str()));
        self
    }

    /// Drops whatever a larger target covers, and the hub itself.
    fn fold(self, context: &Context<'_>) -> Vec<Target> {
        let Self { accounts, units, organizations } = self;
        let own = context.organization;
        let whole = own.filter(|own| organizations.contains_key(&own.id));
        let mut targets: Vec<Target> = organizations
            .into_iter()
            .map(|(id, arn)| {
                let accounts = match own {
                    Some(own) if own.id == id => without_hub(own.all_active_accounts(), context.hub),
                    _ => Vec::new(),
                };
                Target::Organization { id, arn, accounts }
            })
            .collect();
        if let (Some(own), None) = (own, whole) {
            let outermost = units.iter().filter(|(id, _)| {
                let parent = own.units.get(*id).map(|unit| &unit.parent);
                !units
                    .keys()
                    .any(|other| other != *id && parent.is_some_and(|parent| own.lies_in(parent, other)))
            });
            targets.extend(outermost.filter_map(|(id, through)| unit_target(own, id, through, context.hub)));
        }
        let is_covered = |id: &AccountId| {
            id == context.hub
                || own.and_then(|own| Some((own, own.accounts.get(id)?))).is_some_and(|(own, account)| {
                    whole.is_some()
                        || units.keys().any(|unit| {
                            account.parent.as_ref().is_some_and(|parent| own.lies_in(parent, unit))
                        })
                })
        };
        let alone = accounts.into_iter().filter(|(id, _)| !is_covered(id));
        targets.extend(
            alone.map(|(id, through)| Target::Account { id, through: through.into_iter().collect() }),
        );
        targets
    }
}

fn unit_target(own: &Organization, id: &OuId, through: &BTreeSet<String>, hub: &AccountId) -> Option<Target> {
    Some(Target::Ou {
        id: id.clone(),
        arn: own.units.get(id)?.arn.clone(),
        path: own.path(id)?,
        accounts: without_hub(own.active_accounts_in(id), hub),
        through: through.iter().cloned().collect(),
    })
}

fn without_hub(accounts: BTreeSet<AccountId>, hub: &AccountId) -> Vec<AccountId> {
    accounts.into_iter().filter(|id| id != hub).collect()
}
