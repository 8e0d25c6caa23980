//! The targets while the organization cannot be read: nobody new gets access, and whatever no selector can lead to any
//! more loses it, whatever the organization would say.

use crate::refusal::{Refusal, RefusalReason};
use crate::tags::selector::Selector;
use crate::tags::share_tags::{ShareTags, Until, WITH};
use crate::targets::limits::Limits;
use crate::targets::resolve::{Context, Targets};
use crate::targets::target::Target;

/// Retains the targets of the last intent that a selector may still lead to. `message` is what AWS Organizations said.
/// `None` where the last intent, of an earlier version, does not say enough of an OU or organization to retain it.
///
/// The caller has found that the decision needs the organization, so the end of the share lies ahead.
pub fn retain(tags: &ShareTags, context: &Context<'_>, message: &str) -> Option<Targets> {
    let previous = context.previous;
    let is_reached =
        |name: &&String| tags.selectors.iter().any(|selector| may_lead_to(selector, name, context.limits));
    let retained: Vec<Target> = previous
        .targets
        .iter()
        .filter(is_reached)
        .map(|name| target(name, previous.groups))
        .collect::<Option<_>>()?;
    let reason = RefusalReason::UnreadableOrganization { message: message.to_owned() };
    Some(Targets {
        targets: Vec::new(),
        has_unknown_accounts: retained.iter().any(|target| target.without_accounts().is_some()),
        retained,
        refused: tags.refused.iter().cloned().chain([Refusal::new(WITH, reason)]).collect(),
        until: match tags.until {
            Until::Open => None,
            Until::At(end) => Some(end),
            Until::Unreadable => previous.until,
        },
        revocation_reason: None,
    })
}

/// Whether a selector may lead to the target `name`, in some organization. An OU, a root, a tag and the organization
/// itself may hold any account and any OU, and what had access as an account may have it as a part of them. What had
/// access through the whole organization may have it through its OU.
fn may_lead_to(selector: &Selector, name: &str, limits: &Limits) -> bool {
    let is_external = limits.external_organizations.keys().any(|id| id.as_str() == name);
    match selector {
        Selector::Account(id) => id.as_str() == name,
        Selector::Organization(id) if limits.external_organizations.contains_key(id) => id.as_str() == name,
        Selector::Ou(_)
        | Selector::Root(_)
        | Selector::OwnOrganization
        | Selector::Organization(_)
        | Selector::Tagged { .. } => !is_external,
    }
}

fn target(name: &str, groups: &[Target]) -> Option<Target> {
    let account = || Some(Target::Account { id: name.parse().ok()?, through: Vec::new() });
    groups.iter().find(|group| group.name() == name).cloned().or_else(account)
}
