//! From words to targets: who gets the image, who is refused and why, with overlaps folded.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::ids::{AccountId, OrganizationArn, OrganizationId, OuId};
use crate::refusal::{Refusal, RefusalCode};
use crate::tags::selector::Selector;
use crate::tags::share_tags::{ShareTags, UNTIL, Until, WITH};
use crate::targets::limits::{Limits, Sharing};
use crate::targets::organization::Organization;
use crate::targets::revocation_reason::RevocationReason;
use crate::targets::target::Target;

/// What the tags come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// Who gets the image, in a fixed order; none covers another.
    pub targets: Vec<Target>,
    /// Who is wanted but gets nothing now: what they have they keep.
    pub retained: Vec<Target>,
    /// The words that get nothing.
    pub refused: Vec<Refusal>,
    /// When access ends.
    pub until: Option<Timestamp>,
    /// Why nobody may have access any more: it has ended as it was agreed, or the stack withdraws everything.
    pub revocation_reason: Option<RevocationReason>,
}

/// What was wanted when the tags were read last.
#[derive(Debug, Clone, Copy)]
pub struct Previous<'a> {
    /// The names of the targets.
    pub targets: &'a [String],
    /// When access was to end.
    pub until: Option<Timestamp>,
}

/// All that the decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The hub's organization; `None` when it is in none.
    pub organization: Option<&'a Organization>,
    /// What the stack allows beyond it.
    pub limits: &'a Limits,
    /// The account that owns the images; it needs no share of its own.
    pub hub: &'a AccountId,
    /// What was wanted before.
    pub previous: Previous<'a>,
    /// The moment of the decision.
    pub now: Timestamp,
}

/// Whether the organization has a say at all. It has none where no word is asked for and where nobody is wanted whatever
/// the words say: access ends also when the organization cannot be read any more.
pub fn needs_organization(tags: &ShareTags, context: &Context<'_>) -> bool {
    let end = match tags.until {
        Until::Open => None,
        Until::At(end) => Some(end),
        Until::Unreadable => context.previous.until,
    };
    let is_past = end.is_some_and(|end| end <= context.now);
    !tags.selectors.is_empty() && !is_past && context.limits.sharing == Sharing::Enabled
}

/// Decides who gets the image. The order of the words does not matter.
pub fn resolve(tags: &ShareTags, context: &Context<'_>) -> Targets {
    let nobody = Targets {
        targets: Vec::new(),
        retained: Vec::new(),
        refused: tags.refused.clone(),
        until: None,
        revocation_reason: None,
    };
    let previous = context.previous;
    if let Some(end) = previous.end(tags.until).filter(|end| *end <= context.now) {
        return Targets {
            until: Some(end),
            revocation_reason: Some(RevocationReason::Expired { at: end }),
            ..nobody
        };
    }
    if context.limits.sharing == Sharing::Disabled {
        return Targets {
            refused: Vec::new(),
            revocation_reason: Some(RevocationReason::SharingDisabled),
            ..nobody
        };
    }
    match tags.until {
        Until::Open => select(tags, context, nobody),
        Until::At(end) if end > context.now => select(tags, context, Targets { until: Some(end), ..nobody }),
        Until::At(end) => with_refusal(nobody, expired(end)),
        Until::Unreadable => {
            let (found, nobody) = find(tags, context, Targets { until: previous.until, ..nobody });
            Targets { retained: found.previous(context).fold(context), ..nobody }
        }
    }
}

impl Previous<'_> {
    /// The end that was agreed before and still is. Of a date that cannot be read, the end that could be read last
    /// holds, so that a typing error makes nothing open-ended.
    fn end(self, until: Until) -> Option<Timestamp> {
        match until {
            Until::Open => None,
            Until::At(end) => self.until.filter(|previous| *previous == end),
            Until::Unreadable => self.until,
        }
    }
}

/// Adds to `nobody` those whom the words pick.
fn select(tags: &ShareTags, context: &Context<'_>, nobody: Targets) -> Targets {
    let (found, nobody) = find(tags, context, nobody);
    let targets = found.clone().fold(context);
    let limit = context.limits.target_limit;
    if targets.len() > limit {
        let retained = found.previous(context).fold(context);
        return Targets { retained, ..with_refusal(nobody, too_many(targets.len(), limit)) };
    }
    Targets { targets, ..nobody }
}

/// What the words pick, and `nobody` with the words that pick nothing.
fn find(tags: &ShareTags, context: &Context<'_>, nobody: Targets) -> (Found, Targets) {
    let has_end = tags.until != Until::Open;
    let mut desired = Desired { context, has_end, found: Found::default(), refused: nobody.refused };
    for selector in &tags.selectors {
        desired.select(selector);
    }
    let Desired { found, refused, .. } = desired;
    (found, Targets { refused, ..nobody })
}

fn with_refusal(targets: Targets, refusal: Refusal) -> Targets {
    let refused = targets.refused.into_iter().chain([refusal]).collect();
    Targets { refused, ..targets }
}

fn expired(end: Timestamp) -> Refusal {
    Refusal::new(
        UNTIL,
        RefusalCode::Expired,
        format!("ami-share:until was {end}, which is in the past; set a later date to share again"),
    )
}

fn too_many(count: usize, limit: usize) -> Refusal {
    Refusal::new(
        WITH,
        RefusalCode::TooManyTargets,
        format!(
            "{count} targets are more than the {limit} launch permissions that one image may have; name OUs or `org` instead of their accounts"
        ),
    )
}

/// What the words picked, before overlaps are folded; each with the `tag:` words that led to it.
#[derive(Default, Clone)]
struct Found {
    accounts: BTreeMap<AccountId, BTreeSet<String>>,
    units: BTreeMap<OuId, BTreeSet<String>>,
    organizations: BTreeMap<OrganizationId, OrganizationArn>,
}

struct Desired<'a> {
    context: &'a Context<'a>,
    has_end: bool,
    found: Found,
    refused: Vec<Refusal>,
}

impl Desired<'_> {
    fn select(&mut self, selector: &Selector) {
        match selector {
            Selector::Account(id) => self.account(id),
            Selector::Ou(id) => self.unit(id),
            Selector::Root(id) => match self.context.organization {
                Some(own) if own.roots.contains(id) => self.own_organization(own),
                _ => self.refuse_unknown(id.as_str(), "root"),
            },
            Selector::OwnOrganization => match self.context.organization {
                Some(own) => self.own_organization(own),
                None => self.refuse(
                    selector,
                    RefusalCode::NotFound,
                    "`org` names nothing: this account is in no organization".to_owned(),
                ),
            },
            Selector::Organization(id) => self.organization(id),
            Selector::Tagged { key, value } => self.tagged(selector, key, value),
        }
    }

    fn account(&mut self, id: &AccountId) {
        let target_account = self.context.organization.and_then(|own| own.accounts.get(id));
        match target_account {
            Some(account) if account.active => self.add_account(id, None),
            Some(_) => self.refuse(id, RefusalCode::ClosedAccount, format!("account {id} is closed or suspended; remove it from the tag")),
            None if id == self.context.hub => self.add_account(id, None),
            None if !self.context.limits.external_accounts.contains(id) => self.refuse(
                id,
                RefusalCode::ExternalNotAllowed,
                format!("{id} is not in this organization and not allowed; add it to AllowedExternalAccounts or remove it"),
            ),
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
            None => self.refuse(
                id,
                RefusalCode::ExternalNotAllowed,
                format!("{id} is not this organization and not allowed; add its ARN to AllowedExternalOrganizations or remove it"),
            ),
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
            _ => self.refuse_unknown(id.as_str(), "OU"),
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
            self.refuse(selector, RefusalCode::NoMatch, format!("`{name}` matches no account and no OU of this organization; tag them in AWS Organizations or remove it"));
        }
    }

    fn add_account(&mut self, id: &AccountId, through: Option<&str>) {
        let names = self.found.accounts.entry(id.clone()).or_default();
        names.extend(through.map(str::to_owned));
    }

    fn external_may_have_it(&mut self, name: &(impl ToString + ?Sized)) -> bool {
        let may = self.has_end || !self.context.limits.external_needs_until;
        if !may {
            let name = name.to_string();
            self.refuse(
                &name,
                RefusalCode::NeedsUntil,
                format!(
                    "{name} is outside this organization, so the share must end; add the tag ami-share:until"
                ),
            );
        }
        may
    }

    fn refuse_unknown(&mut self, name: &str, what: &str) {
        self.refuse(
            name,
            RefusalCode::NotFound,
            format!("{name} is no {what} of this organization; name one of its own"),
        );
    }

    fn refuse(&mut self, name: &(impl ToString + ?Sized), code: RefusalCode, reason: String) {
        self.refused.push(Refusal::new(name.to_string(), code, reason));
    }
}

impl Found {
    /// Those of them who are wanted already. An account that stands for itself does so still when its OU, which
    /// gets nothing now, is named beside it.
    fn previous(mut self, context: &Context<'_>) -> Self {
        let stands = |name: &str| context.previous.targets.iter().any(|previous| previous == name);
        self.accounts.retain(|id, _| stands(id.as_str()));
        self.units.retain(|id, _| stands(id.as_str()));
        self.organizations.retain(|id, _| stands(id.as_str()));
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
