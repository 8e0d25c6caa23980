//! Images, targets and shares in one line each, and strategies for lists of targets.

use ami_share_domain::ids::AccountId;
use ami_share_domain::image::desired::{DesiredState, Image, Observation, Run, Share};
use ami_share_domain::image::request::ShareResult;
use ami_share_domain::refusal::{Refusal, RefusalReason};
use ami_share_domain::targets::target::Target;
use ami_share_domain::trigger::TriggeredBy;
use jiff::Timestamp;
use proptest::prelude::*;

use crate::ids::{
    account, hub, image_id, key, matching, now, organization_arn, ou, ou_arn, own_organization, top_path,
};

/// An image of the hub.
pub fn image() -> Image {
    Image { id: image_id(1), name: "golden".to_owned(), region: "eu-west-1".to_owned(), owner: hub() }
}

/// A target: this account.
pub fn account_target(id: AccountId) -> Target {
    Target::Account { id, through: Vec::new() }
}

/// A target: OU number `number` with these accounts.
pub fn ou_target(number: usize, accounts: Vec<AccountId>) -> Target {
    let id = ou(number);
    Target::Ou { arn: ou_arn(&id), path: top_path(&id), id, accounts, through: Vec::new() }
}

/// A target: the hub's organization with these accounts.
pub fn organization_target(accounts: Vec<AccountId>) -> Target {
    Target::Organization { id: own_organization(), arn: organization_arn(&own_organization()), accounts }
}

/// A share of [`image`] on one key with these targets.
pub fn share(targets: Vec<Target>) -> Share {
    let desired = DesiredState {
        image: image(),
        targets,
        retained: Vec::new(),
        refused: Vec::new(),
        keys: vec![key(1)],
        snapshots: Vec::new(),
        retained_snapshots: Vec::new(),
        has_unknown_accounts: false,
        until: None,
        warn_at: None,
        revocation_reason: None,
    };
    Share { desired, run: run() }
}

/// The same run of the workflow, with a changed desired state.
pub fn with_desired(mut share: Share, change: impl FnOnce(&mut DesiredState)) -> Share {
    change(&mut share.desired);
    share
}

/// The first run of the workflow for an image.
pub fn run() -> Run {
    Run {
        intent: 1,
        observed: Observation { at: Timestamp::UNIX_EPOCH, status: None },
        must_schedule: false,
        triggered_by: TriggeredBy { principal: None, event: "event".to_owned(), at: now() },
        event_time: Some(now()),
        tags_version: None,
        changed_by: None,
        adopt: false,
        dry_run: false,
    }
}

/// What `share-image` returns when all targets have access except those that `refused` names.
pub fn result(share: Share, refused: Vec<Refusal>) -> ShareResult {
    let is_refused = |target: &&Target| refused.iter().any(|refusal| refusal.subject == target.name());
    let targets = share.desired.targets.clone();
    let shared: Vec<&Target> = targets.iter().filter(|target| !is_refused(target)).collect();
    ShareResult::of(share, &shared, refused.clone())
}

/// A refusal of `selector`.
pub fn refusal(selector: &str) -> Refusal {
    Refusal::new(selector, RefusalReason::UntaggedKey { key: key(1) })
}

/// Any list of targets, each named once; accounts `1..=40`, some of them in several OUs.
pub fn target_lists() -> impl Strategy<Value = Vec<Target>> {
    let accounts = |most| prop::collection::btree_set((1..=40_usize).prop_map(account), 0..=most);
    let units = prop::collection::btree_map(1..=6_usize, accounts(6), 0..4);
    let organization = prop::option::weighted(0.2, accounts(12));
    (accounts(6), units, organization).prop_map(|(alone, units, organization)| {
        let organization = organization.map(|accounts| organization_target(accounts.into_iter().collect()));
        let units =
            units.into_iter().map(|(number, accounts)| ou_target(number, accounts.into_iter().collect()));
        organization.into_iter().chain(units).chain(alone.into_iter().map(account_target)).collect()
    })
}

/// Any reason of a refusal, with a sentence of any length.
pub fn refusal_reasons() -> impl Strategy<Value = RefusalReason> {
    let text = || matching("\\PC{0,300}");
    prop_oneof![
        prop::sample::select(RefusalReason::examples()),
        text().prop_map(|message| RefusalReason::Ec2Rejected { message }),
        text().prop_map(|value| RefusalReason::UnreadableUntil { value }),
        (1..=3_usize).prop_map(|number| RefusalReason::UntaggedKey { key: key(number) }),
    ]
}

/// Any refusal.
pub fn refusals() -> impl Strategy<Value = Refusal> {
    (matching("\\PC{1,20}"), refusal_reasons()).prop_map(|(subject, reason)| Refusal::new(subject, reason))
}
