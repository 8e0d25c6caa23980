//! What the next reconciliation would change, in sentences.
//!
//! Nothing is compared by rules of its own: these are the plans that a reconciliation follows. What AWS has refused for
//! good is left out of them, so that no review starts the same reconciliation again and again.

use std::collections::BTreeSet;

use crate::ids::AccountId;
use crate::image;
use crate::image::ledger::ShareOutcome;
use crate::image::plan::{Desired, ImagePlan, ImageStep};
use crate::image::request::ShareResult;
use crate::listing::some_of;
use crate::notify;
use crate::notify::notification::{Notification, NotificationKind};
use crate::notify::plan::{HubNotification, NotificationPlan};
use crate::notify::status;
use crate::refusal::{Refusal, RefusalCode};
use crate::review::key::ReviewedKeyState;
use crate::review::seen::Seen;
use crate::targets::revocation_reason::RevocationReason;
use crate::targets::target::{KeyPrincipal, Target};

/// Names that a sentence lists before it only counts the others.
const NAMED: usize = 5;

/// What a reconciliation would do and notify of now.
pub(crate) struct NextReconciliation<'a> {
    seen: &'a Seen<'a>,
    /// The targets that it would try to grant access to.
    targets: Vec<&'a Target>,
    plan: ImagePlan,
    pub(crate) result: ShareResult,
    pending_revocation: BTreeSet<String>,
}

impl<'a> NextReconciliation<'a> {
    pub(crate) fn of(seen: &'a Seen<'a>) -> Self {
        let share = seen.share;
        let mut refused = Vec::new();
        let mut targets: Vec<&Target> = Vec::new();
        for target in &share.desired.targets {
            match seen.lasting_refusal(target) {
                Some(refusal) => refused.push(refusal),
                None => targets.push(target),
            }
        }
        let pending_revocation = seen.ledger.pending_revocation(&share.desired);
        let desired = Desired {
            targets: &targets,
            snapshots: &share.desired.snapshots,
            pending_revocation: &seen.ledger.permissions_pending_revocation(&share.desired, seen.observed),
            snapshots_pending_revocation: &seen.ledger.snapshots_pending_revocation(&share.desired),
            limit: seen.limit,
            makes_private: seen.makes_private,
        };
        let plan = image::plan::plan(seen.observed, &desired);
        refused.extend(plan.refuse_all(&mut targets));
        refused.extend(seen.observed.refused_snapshots(&share.desired.snapshots));
        let result = ShareResult {
            revoked: pending_revocation.iter().cloned().collect(),
            unmanaged: seen.unmanaged(),
            ..ShareResult::of(share.clone(), &targets, refused)
        };
        Self { seen, targets, plan, result, pending_revocation }
    }

    pub(crate) fn differences(&self) -> Vec<String> {
        let mut differences = self.intent();
        differences.extend(self.schedules());
        differences.extend(self.seen.keys().flat_map(|key| self.key(key)));
        differences.extend(self.plan.steps().filter_map(|step| self.step(step)));
        differences.extend(self.rows());
        differences.extend(self.notifications());
        differences.extend(self.status());
        differences.extend(self.is_over(differences.is_empty()));
        differences
    }

    fn intent(&self) -> Vec<String> {
        let recorded = self.seen.ledger.intent.as_ref().filter(|intent| intent.number > 0);
        let sentence = match recorded {
            None => "the ledger has no reconciliation of the image",
            Some(intent) if intent.desired_state != self.seen.desired_state => {
                "the desired state has changed since the last reconciliation"
            }
            Some(_) => return Vec::new(),
        };
        vec![sentence.to_owned()]
    }

    fn schedules(&self) -> Option<String> {
        let Seen { share, ledger, now, .. } = self.seen;
        let desired = image::schedule::desired(&share.desired, *now);
        let is_kept = image::schedule::plan(&ledger.schedules, &desired, *now).is_empty();
        (!is_kept).then(|| "the schedules of its expiry are not as they should be".to_owned())
    }

    /// How a key differs, as far as a reconciliation could change it.
    fn key(&self, key: &ReviewedKeyState) -> Vec<String> {
        let (share, name) = (self.seen.share, key.arn.short());
        let speaks = self.seen.speaks_for.contains(&key.arn);
        let mut gone = key.ledger.released_by(&share.desired.image.id, &self.seen.own());
        if speaks {
            gone.extend(key.ledger.pending_revocation());
        }
        let mut differences = Vec::new();
        if !gone.is_empty() && (key.is_gone || key.problem.is_none()) {
            differences.push(format!("{name} is still granted to {}", some_of(&gone, NAMED)));
        }
        if let Some(problem) = &key.problem {
            let actual = key.actual();
            let lacking = self.targets.iter().map(|target| target.key_principal());
            let lacking: Vec<KeyPrincipal> =
                lacking.filter(|principal| !actual.contains(principal)).collect();
            if !lacking.is_empty() {
                differences.push(format!("{name} is not granted to {}: {problem}", some_of(&lacking, NAMED)));
            }
            return differences;
        }
        let Some(plan) = key.plan(&self.needed_on(key)) else { return differences };
        if !plan.added.is_empty() {
            differences.push(format!("{name} is not granted to {}", some_of(&plan.added, NAMED)));
        } else if plan.document.is_some() && speaks {
            differences.push(format!("the statements of ami-share in the policy of {name} were changed"));
        }
        if !plan.no_room.is_empty() {
            differences
                .push(format!("the policy of {name} has no room for {}", some_of(&plan.no_room, NAMED)));
        }
        differences
    }

    /// The principals that a key must allow for this image, without those that were refused before.
    fn needed_on(&self, key: &ReviewedKeyState) -> BTreeSet<KeyPrincipal> {
        let need = key.need(&self.seen.share.desired.image.id);
        let is_tried = |target: &&Target| self.targets.iter().any(|tried| tried.name() == target.name());
        let refused = self.seen.share.desired.targets.iter().filter(|target| !is_tried(target));
        let refused: BTreeSet<KeyPrincipal> =
            refused.map(Target::key_principal).chain(need.excluded).collect();
        let own = self.seen.own();
        let tried = self.targets.iter().map(|target| target.key_principal());
        let needed = tried.chain(need.principals.into_iter().filter(|principal| own.contains(principal)));
        needed.filter(|principal| !refused.contains(principal)).collect()
    }

    fn step(&self, step: &ImageStep) -> Option<String> {
        let principals = match step {
            ImageStep::GrantSnapshot { accounts, .. } => {
                let accounts = accounts.iter().filter(|account| !self.is_rejected(account));
                accounts.map(ToString::to_string).collect()
            }
            other => other.principals(),
        };
        if principals.is_empty() {
            return None;
        }
        let principals = some_of(&principals, NAMED);
        Some(match step {
            ImageStep::GrantImage { .. } => format!("the image is not granted to {principals}"),
            ImageStep::GrantSnapshot { snapshot, .. } => format!("{snapshot} is not granted to {principals}"),
            ImageStep::RevokeImage { .. } => format!("the image is still granted to {principals}"),
            ImageStep::RevokeSnapshot { snapshot, .. } => {
                format!("{snapshot} is still granted to {principals}")
            }
            ImageStep::MakeImagePrivate => "the image is public".to_owned(),
            ImageStep::MakeSnapshotPrivate { snapshot } => format!("{snapshot} is public"),
        })
    }

    /// Whether AWS rejected an account.
    fn is_rejected(&self, account: &AccountId) -> bool {
        let row = self.seen.ledger.shares.get(account.as_str());
        row.and_then(|row| row.refusal()).map(Refusal::code) == Some(RefusalCode::RejectedByAws)
    }

    /// What the ledger should hold and does not.
    fn rows(&self) -> Vec<String> {
        let ledger = self.seen.ledger;
        let (changed, _) = ledger.rows_after(&self.result, self.seen.now);
        let differences = changed.iter().map(|row| {
            let target = &row.target;
            let last = ledger.shares.get(target);
            match (row.outcome, last.map(|last| last.outcome)) {
                (ShareOutcome::Revoked, _) => {
                    format!("the ledger does not show that the share with {target} has ended")
                }
                (ShareOutcome::Refused, _) => format!("the ledger does not show that {target} is refused"),
                (_, Some(ShareOutcome::Granting)) => {
                    format!("a grant to {target} was started and not finished")
                }
                (_, Some(ShareOutcome::Refused)) => {
                    format!("{target} was refused, and could have access now")
                }
                (_, Some(ShareOutcome::Shared)) => {
                    format!("the ledger has other terms for the share with {target}")
                }
                (_, Some(ShareOutcome::Revoked) | None) => {
                    format!("the ledger does not show the share with {target}")
                }
            }
        });
        differences.collect()
    }

    /// The notifications that were not sent.
    fn notifications(&self) -> Vec<String> {
        let NotificationPlan { hub, target_accounts, former_accounts, forgotten, warned: _, is_warning } =
            notify::plan::plan(&self.result, self.seen.ledger, self.seen.now);
        let mut unnotified: Vec<String> = Vec::new();
        for HubNotification { notification: Notification { kind, detail }, row } in &hub {
            if *kind == NotificationKind::EndingSoon {
                continue;
            }
            let of = detail.target.as_deref().unwrap_or("the image");
            let reason = detail.reason.as_deref().filter(|_| row.is_none());
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            unnotified.push(format!("`{}` of {of} has not been sent{reason}", kind.detail_type()));
        }
        let names = |accounts: &[(AccountId, Notification)]| -> Vec<String> {
            accounts.iter().map(|(account, _)| account.to_string()).collect()
        };
        if !target_accounts.is_empty() {
            unnotified
                .push(format!("not notified of their access: {}", some_of(names(&target_accounts), NAMED)));
        }
        let gone: Vec<String> =
            names(&former_accounts).into_iter().chain(forgotten.iter().map(ToString::to_string)).collect();
        if !gone.is_empty() {
            unnotified.push(format!("not notified that their access has ended: {}", some_of(&gone, NAMED)));
        }
        if is_warning {
            unnotified.push("the targets have not been warned of the expiry".to_owned());
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
            Some(notified) if status::is_of_failure(notified) => "the last reconciliation failed",
            Some(notified) if ledger.notified.needs_status(notified, &share.run.observed) => {
                "its status was overwritten"
            }
            Some(_) => return None,
        };
        Some(sentence.to_owned())
    }

    /// An image without shares needs no review; a reconciliation removes it from the list.
    fn is_over(&self, is_same: bool) -> Option<String> {
        let Seen { share, ledger, .. } = self.seen;
        let has_ended = matches!(
            share.desired.revocation_reason,
            Some(RevocationReason::ImageGone | RevocationReason::Untagged)
        );
        let is_stuck = self.seen.keys().any(|key| key.problem.is_some() && !key.is_gone);
        let is_over =
            has_ended && is_same && self.pending_revocation.is_empty() && ledger.has_no_access() && !is_stuck;
        is_over.then(|| "its shares have ended, and it is still on the list of managed images".to_owned())
    }
}
