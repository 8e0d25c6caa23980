//! Whether an image is what its tags say: compares what is wanted with what is and with what the ledger says.
//!
//! An image differs exactly when the next look would change something. So nothing is compared by rules of its
//! own: the plans that a look follows are made, and what they hold is said in words. Whatever a look has been
//! refused for good (EC2 or KMS does not take an account, a policy has no room) is left out of the plans as long
//! as nothing has changed that could make a difference, so that no review starts the same look for ever.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::ids::{AccountId, KeyArn};
use crate::image;
use crate::image::desired::{Image, Observation, Share};
use crate::image::ledger::{ImageLedger, ShareOutcome, ShareRow};
use crate::image::plan::{Desired, ImagePlan, ImageStep, ObservedImage};
use crate::image::request::ShareResult;
use crate::image::unmanaged::UnmanagedGrant;
use crate::notify::notification;
use crate::notify::notification::{NotificationKind, NotificationPlan};
use crate::notify::status;
use crate::refusal::{Refusal, RefusalCode};
use crate::review::key::ReviewedKeyState;
use crate::review::report::{ReviewedImage, ReviewedShare};
use crate::targets::revocation_reason::RevocationReason;
use crate::targets::target::KeyPrincipal;
use crate::targets::target::Target;

/// Names that a sentence lists before the others are only counted.
const NAMED: usize = 5;

/// An image, and all that the comparison rests on.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// What is wanted.
    pub share: &'a Share,
    /// The digest of that, as an intent has it.
    pub desired_state: &'a str,
    /// The image's state in EC2; `gone` when it does not exist any more.
    pub state: &'a str,
    /// What the ledger says of it.
    pub ledger: &'a ImageLedger,
    /// Who has access to the image, and to the snapshots of share and ledger.
    pub observed: &'a ObservedImage,
    /// Every key of the share.
    pub keys: &'a BTreeMap<KeyArn, ReviewedKeyState>,
    /// The keys whose own matters are said here: of many images on one key, one look mends all of it.
    pub speaks_for: &'a BTreeSet<KeyArn>,
    /// How many launch permissions an image may have.
    pub limit: usize,
    /// Whether what is public is made private.
    pub makes_private: bool,
    /// The moment of the comparison.
    pub now: Timestamp,
}

/// What is said of an image of which nothing is wanted, and of which nothing ever was.
pub fn idle(image: &Image, described: &Observation, state: &str, observed: &ObservedImage) -> ReviewedImage {
    let out_of_band = observed.launch.iter().map(ToString::to_string);
    let everybody = observed.is_public.then(|| "all".to_owned());
    let unmanaged = out_of_band.chain(everybody);
    ReviewedImage {
        unmanaged: unmanaged
            .map(|grantee| UnmanagedGrant { resource: image.id.to_string(), grantee })
            .collect(),
        ..reviewed(image, described, state)
    }
}

/// What is said of an image that could not be compared, for a `reason` that trying again does not mend. A look
/// meets the same, and tells it.
pub fn unreadable(image: &Image, described: &Observation, state: &str, reason: &str) -> ReviewedImage {
    ReviewedImage {
        differences: vec![format!("it could not be compared: {reason}")],
        ..reviewed(image, described, state)
    }
}

/// Who has access to the image, and how that differs from what is wanted.
pub fn compare(seen: &Seen<'_>) -> ReviewedImage {
    let preview = Preview::of(seen);
    ReviewedImage {
        shares: seen.shares(),
        unmanaged: seen.all_unmanaged(),
        refused: preview.result.refused.clone(),
        differences: preview.differences(),
        keys: seen.share.desired.keys.clone(),
        ..reviewed(&seen.share.desired.image, &seen.share.run.observed, seen.state)
    }
}

fn reviewed(image: &Image, described: &Observation, state: &str) -> ReviewedImage {
    ReviewedImage {
        id: image.id.clone(),
        name: image.name.clone(),
        state: state.to_owned(),
        status: described.status.clone(),
        confirmed_at: described.at,
        shares: Vec::new(),
        unmanaged: Vec::new(),
        refused: Vec::new(),
        differences: Vec::new(),
        keys: Vec::new(),
    }
}

impl Seen<'_> {
    /// The shares that stand: on record, and really open.
    fn shares(&self) -> Vec<ReviewedShare> {
        let previous = self.ledger.shares.values().filter(|row| {
            let is_recorded = row.has_access() || row.outcome == ShareOutcome::Shared;
            is_recorded && self.is_launched_by(&row.target)
        });
        previous.map(|row| self.share_of(row)).collect()
    }

    fn share_of(&self, row: &ShareRow) -> ReviewedShare {
        let target = self.share.desired.all_targets().find(|target| target.name() == row.target);
        let alone = row.target.parse().ok().into_iter().collect();
        let selectors = if row.through.is_empty() { vec![row.target.clone()] } else { row.through.clone() };
        ReviewedShare {
            accounts: target.map_or(alone, |target| target.accounts().to_vec()),
            target: row.target.clone(),
            selectors,
            permits: self.share.desired.permits(&row.target).into_iter().map(str::to_owned).collect(),
            is_managed: row.is_managed,
            since: row.since,
            until: row.until,
            triggered_by: row.triggered_by.clone(),
            event: row.event.clone(),
        }
    }

    /// What ami-share did not give by what it has on record; that is also what is wanted and not yet on record.
    fn all_unmanaged(&self) -> Vec<UnmanagedGrant> {
        let mut grants = self.unmanaged();
        let unrecorded = self.observed.launch.iter().filter(|permission| {
            self.share.desired.includes(permission.name())
                && !self.ledger.shares.contains_key(permission.name())
        });
        grants.extend(unrecorded.map(|permission| UnmanagedGrant {
            resource: self.share.desired.image.id.to_string(),
            grantee: permission.to_string(),
        }));
        grants
    }

    fn unmanaged(&self) -> Vec<UnmanagedGrant> {
        image::unmanaged::unmanaged(self.observed, &self.share.desired, self.ledger)
    }

    fn is_launched_by(&self, target: &str) -> bool {
        self.observed.launch.iter().any(|permission| permission.name() == target)
    }

    fn row(&self, target: &Target) -> Option<&ShareRow> {
        self.ledger.shares.get(target.name())
    }

    fn keys(&self) -> impl Iterator<Item = &ReviewedKeyState> {
        self.share.desired.keys.iter().filter_map(|key| self.keys.get(key))
    }

    /// Whom the image may need on a key: everybody who is wanted.
    fn own(&self) -> BTreeSet<KeyPrincipal> {
        self.share.desired.all_targets().map(Target::key_principal).collect()
    }

    /// The refusal of a target that a look would not overcome now, since it did not before.
    fn lasting_refusal(&self, target: &Target) -> Option<Refusal> {
        let row = self.row(target).filter(|row| row.outcome == ShareOutcome::Refused)?;
        let (code, reason) = (row.code?, row.reason.clone()?);
        let principal = target.key_principal();
        let is_granted_on_keys = || self.keys().all(|key| key.actual().contains(&principal));
        let lasts = match code {
            // The plan for the image says whether there is room by now.
            RefusalCode::TooManyTargets => false,
            RefusalCode::PolicyTooLarge => !self.keys().all(|key| self.would_grant(key, &principal)),
            RefusalCode::RejectedByAws => {
                !(is_granted_on_keys() && self.observed.launch.contains(&target.launch_permission()))
            }
            // A policy whose fault nobody but KMS knows may have been mended: that is one look each review.
            RefusalCode::PolicyUnsafe => self.keys().any(|key| key.problem.is_some()),
            _ => !is_granted_on_keys() || self.keys().any(|key| self.must_be_put(key)),
        };
        lasts.then(|| Refusal::new(target.name(), code, reason))
    }

    /// Whether the policy of a key would admit a principal after a look at this image.
    fn would_grant(&self, key: &ReviewedKeyState, principal: &KeyPrincipal) -> bool {
        let desired = key.ledger.required_by(&self.share.desired.image.id, &self.own());
        let plan = key.plan(&desired);
        key.actual().contains(principal) || plan.is_some_and(|plan| plan.added.contains(principal))
    }

    /// Whether a look at this image would put the policy of a key; then it may be refused once more.
    fn must_be_put(&self, key: &ReviewedKeyState) -> bool {
        let desired = key.ledger.required_by(&self.share.desired.image.id, &self.own());
        key.plan(&desired).is_none_or(|plan| plan.document.is_some() || !plan.no_room.is_empty())
    }
}

/// What a look would do and say now.
struct Preview<'a> {
    seen: &'a Seen<'a>,
    /// The targets that it would try to give access to.
    grantable: Vec<&'a Target>,
    plan: ImagePlan,
    result: ShareResult,
    pending_revocation: BTreeSet<String>,
}

impl<'a> Preview<'a> {
    fn of(seen: &'a Seen<'a>) -> Self {
        let share = seen.share;
        let mut refused = Vec::new();
        let mut grantable: Vec<&Target> = Vec::new();
        for target in &share.desired.targets {
            match seen.lasting_refusal(target) {
                Some(refusal) => refused.push(refusal),
                None => grantable.push(target),
            }
        }
        let pending_revocation = seen.ledger.pending_revocation(&share.desired);
        let desired = Desired {
            targets: &grantable,
            snapshots: &share.desired.snapshots,
            pending_revocation: &pending_revocation,
            snapshots_pending_revocation: &seen.ledger.snapshots_pending_revocation(&share.desired),
            limit: seen.limit,
            makes_private: seen.makes_private,
        };
        let plan = image::plan::plan(seen.observed, &desired);
        refused.extend(plan.refuse_all(&mut grantable));
        let result = ShareResult {
            revoked: pending_revocation.iter().cloned().collect(),
            unmanaged: seen.unmanaged(),
            ..ShareResult::of(share.clone(), &grantable, refused)
        };
        Self { seen, grantable, plan, result, pending_revocation }
    }

    fn differences(&self) -> Vec<String> {
        let mut differences = self.intent();
        differences.extend(self.schedules());
        differences.extend(self.seen.keys().flat_map(|key| self.key(key)));
        differences.extend(self.plan.steps().filter_map(|step| self.step(step)));
        differences.extend(self.rows());
        differences.extend(self.notifiable_outcome());
        differences.extend(self.status());
        differences.extend(self.is_over(differences.is_empty()));
        differences
    }

    fn intent(&self) -> Vec<String> {
        let recorded = self.seen.ledger.intent.as_ref().filter(|intent| intent.number > 0);
        let sentence = match recorded {
            None => "no look at it is on record",
            Some(intent) if intent.desired_state != self.seen.desired_state => {
                "something else is wanted than at the last look"
            }
            Some(_) => return Vec::new(),
        };
        vec![sentence.to_owned()]
    }

    fn schedules(&self) -> Option<String> {
        let Seen { share, ledger, now, .. } = self.seen;
        let desired = image::schedule::desired(&share.desired, *now);
        let is_kept = image::schedule::plan(&ledger.schedules, &desired, *now).is_empty();
        (!is_kept).then(|| "the appointments of its end are not as they should be".to_owned())
    }

    /// How a key differs, as far as a look could change it.
    fn key(&self, key: &ReviewedKeyState) -> Vec<String> {
        let (share, name) = (self.seen.share, key.arn.short());
        let speaks = self.seen.speaks_for.contains(&key.arn);
        let mut gone = key.ledger.released_by(&share.desired.image.id, &self.seen.own());
        if speaks {
            gone.extend(key.ledger.pending_revocation());
        }
        let mut differences = Vec::new();
        if !gone.is_empty() && (key.is_gone || key.problem.is_none()) {
            differences.push(format!("{name} is not yet closed to {}", some_of(&gone)));
        }
        if let Some(problem) = &key.problem {
            let actual = key.actual();
            let lacking = self.grantable.iter().map(|target| target.key_principal());
            let lacking: Vec<KeyPrincipal> =
                lacking.filter(|principal| !actual.contains(principal)).collect();
            if !lacking.is_empty() {
                differences.push(format!("{name} does not admit {}: {problem}", some_of(&lacking)));
            }
            return differences;
        }
        let Some(plan) = key.plan(&self.needed_on(key)) else { return differences };
        if !plan.added.is_empty() {
            differences.push(format!("{name} does not admit {}", some_of(&plan.added)));
        } else if plan.document.is_some() && speaks {
            differences.push(format!("the statements of ami-share on {name} were changed"));
        }
        if !plan.no_room.is_empty() {
            differences.push(format!("{name} has no room for {}", some_of(&plan.no_room)));
        }
        differences
    }

    /// Whom a key must admit for this image, without those whom a look has tried in vain.
    fn needed_on(&self, key: &ReviewedKeyState) -> BTreeSet<KeyPrincipal> {
        let need = key.need(&self.seen.share.desired.image.id);
        let is_grantable =
            |target: &&Target| self.grantable.iter().any(|grantable| grantable.name() == target.name());
        let refused = self.seen.share.desired.targets.iter().filter(|target| !is_grantable(target));
        let in_vain: BTreeSet<KeyPrincipal> =
            refused.map(Target::key_principal).chain(need.excluded).collect();
        let own = self.seen.own();
        let grantable = self.grantable.iter().map(|target| target.key_principal());
        let needed = grantable.chain(need.principals.into_iter().filter(|principal| own.contains(principal)));
        needed.filter(|principal| !in_vain.contains(principal)).collect()
    }

    fn step(&self, step: &ImageStep) -> Option<String> {
        let principals = match step {
            ImageStep::GrantSnapshot { accounts, .. } => {
                let grantable = accounts.iter().filter(|account| !self.is_rejected(account));
                grantable.map(ToString::to_string).collect()
            }
            other => other.principals(),
        };
        if principals.is_empty() {
            return None;
        }
        let principals = some_of(&principals);
        Some(match step {
            ImageStep::GrantImage { .. } => format!("the image is not open to {principals}"),
            ImageStep::GrantSnapshot { snapshot, .. } => format!("{snapshot} is not open to {principals}"),
            ImageStep::RevokeImage { .. } => format!("the image is still open to {principals}"),
            ImageStep::RevokeSnapshot { snapshot, .. } => format!("{snapshot} is still open to {principals}"),
            ImageStep::MakeImagePrivate => "the image is public".to_owned(),
            ImageStep::MakeSnapshotPrivate { snapshot } => format!("{snapshot} is public"),
        })
    }

    /// Whether EC2 does not take an account that stands behind a target.
    fn is_rejected(&self, account: &AccountId) -> bool {
        let row = self.seen.ledger.shares.get(account.as_str());
        row.is_some_and(|row| {
            row.outcome == ShareOutcome::Refused && row.code == Some(RefusalCode::RejectedByAws)
        })
    }

    /// What the ledger should say and does not.
    fn rows(&self) -> Vec<String> {
        let ledger = self.seen.ledger;
        let (changed, _) = ledger.rows_after(&self.result, self.seen.now);
        let said = changed.iter().map(|row| {
            let target = &row.target;
            let last = ledger.shares.get(target);
            match (row.outcome, last.map(|last| last.outcome)) {
                (ShareOutcome::Revoked, _) => format!("the share with {target} has not ended on record"),
                (ShareOutcome::Refused, _) => format!("the refusal of {target} is not on record"),
                (_, Some(ShareOutcome::Granting)) => {
                    format!("giving access to {target} was begun and not finished")
                }
                (_, Some(ShareOutcome::Refused)) => {
                    format!("{target} was refused, and could have access now")
                }
                (_, Some(ShareOutcome::Shared)) => {
                    format!("the share with {target} is on record with other terms")
                }
                (_, Some(ShareOutcome::Revoked) | None) => {
                    format!("the share with {target} is not on record")
                }
            }
        });
        said.collect()
    }

    /// Who has not been told what.
    fn notifiable_outcome(&self) -> Vec<String> {
        let NotificationPlan { hub, target_accounts, former_accounts, forgotten, warned: _, is_warning } =
            notification::plan(&self.result, self.seen.ledger, self.seen.now);
        let mut unnotified: Vec<String> = Vec::new();
        for hub_notifications in hub
            .iter()
            .filter(|hub_notifications| hub_notifications.notification.kind != NotificationKind::EndingSoon)
        {
            let detail = &hub_notifications.notification.detail;
            let of = detail.target.as_deref().unwrap_or("the image");
            let reason = detail
                .reason
                .as_deref()
                .filter(|_| hub_notifications.row.is_none())
                .map(|reason| format!(": {reason}"));
            let reason = reason.unwrap_or_default();
            unnotified.push(format!(
                "`{}` of {of} has not been told{reason}",
                hub_notifications.notification.kind.detail_type()
            ));
        }
        let names = |accounts: &[(AccountId, notification::Notification)]| -> Vec<String> {
            accounts.iter().map(|(account, _)| account.to_string()).collect()
        };
        if !target_accounts.is_empty() {
            unnotified.push(format!("not told of their access: {}", some_of(names(&target_accounts))));
        }
        let gone: Vec<String> =
            names(&former_accounts).into_iter().chain(forgotten.iter().map(ToString::to_string)).collect();
        if !gone.is_empty() {
            unnotified.push(format!("not told that their access has ended: {}", some_of(&gone)));
        }
        if is_warning {
            unnotified.push("nobody has been warned of its end".to_owned());
        }
        unnotified
    }

    /// Whether the status tag says what it should.
    fn status(&self) -> Option<String> {
        let Seen { share, ledger, .. } = self.seen;
        if !share.desired.revocation_reason.as_ref().is_none_or(RevocationReason::leaves_image)
            || ledger.intent.is_none()
        {
            return None;
        }
        let sentence = match &ledger.notified.status {
            None => "its status has not been written",
            Some(notified) if status::is_of_failure(notified) => "the last look failed",
            Some(notified) if ledger.notified.needs_status(notified, &share.run.observed) => {
                "its status was overwritten"
            }
            Some(_) => return None,
        };
        Some(sentence.to_owned())
    }

    /// An image that nothing is left of needs no review; a look takes it off the list.
    fn is_over(&self, is_same: bool) -> Option<String> {
        let Seen { share, ledger, .. } = self.seen;
        let has_ended = matches!(
            share.desired.revocation_reason,
            Some(RevocationReason::ImageGone | RevocationReason::Untagged)
        );
        let is_stuck = self.seen.keys().any(|key| key.problem.is_some() && !key.is_gone);
        let is_over =
            has_ended && is_same && self.pending_revocation.is_empty() && ledger.has_no_access() && !is_stuck;
        is_over.then(|| {
            "nothing is left of its shares, and it is still on the list of managed images".to_owned()
        })
    }
}

/// `a, b and 3 more`.
fn some_of<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    let (named, more) = names.split_at(names.len().min(NAMED));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    format!("{}{more}", named.join(", "))
}
