//! The steps of `notify-targets`: tells.

use std::collections::{BTreeSet, VecDeque};

use ami_share_domain::ids::AccountId;
use ami_share_domain::image::ledger::{ImageLedger, ShareRow};
use ami_share_domain::image::request::ShareResult;
use ami_share_domain::notify::notification::Notification;
use ami_share_domain::notify::plan::{Conclusion, NotificationPlan, conclusion, plan, warning_of};

use super::{Fixture, Running};
use crate::world::World;

/// One write of `notify-targets`.
#[derive(Debug, Clone)]
pub(super) enum Message {
    Send(Vec<(Option<AccountId>, Notification)>),
    AddNotified(Vec<AccountId>),
    ForgetNotified(Vec<AccountId>),
    AddWarned(Vec<String>),
    Rows(Vec<ShareRow>),
    Image(Conclusion),
}

impl Running {
    pub(super) fn notify(&mut self, world: &mut World) -> Fixture {
        if !self.takes(self.image_lease(), world) {
            return Fixture::Tell;
        }
        let without_bus = world.without_bus.clone();
        let ledger = self.managed(world).ledger.clone();
        let result = self.result.clone().unwrap();
        if ledger.supersedes(&self.share) {
            world.leases.remove(&self.image_lease());
            return Fixture::Over;
        }
        let plan = plan(&result, &ledger, self.now);
        let messages = messages(&result, &ledger, &plan, &without_bus);
        self.notified = Some(plan);
        Fixture::Telling(messages)
    }

    pub(super) fn send(&mut self, mut messages: VecDeque<Message>, world: &mut World) -> Fixture {
        let without_bus = world.without_bus.clone();
        let managed = self.managed(world);
        let notified = &mut managed.ledger.notified;
        match messages.pop_front() {
            Some(Message::Send(letters)) => managed.sent.extend(letters),
            Some(Message::AddNotified(accounts)) => {
                for account in accounts {
                    let has_none = without_bus.contains(&account);
                    let set = if has_none { &mut notified.without_bus } else { &mut notified.delivered };
                    set.insert(account.to_string());
                }
            }
            Some(Message::ForgetNotified(accounts)) => {
                let is_named =
                    |notified: &String| accounts.iter().any(|account| account.as_str() == notified);
                notified.delivered.retain(|notified| !is_named(notified));
                notified.without_bus.retain(|notified| !is_named(notified));
            }
            Some(Message::AddWarned(warnings)) => notified.warning.extend(warnings),
            Some(Message::Rows(rows)) => managed.store(rows),
            Some(Message::Image(Conclusion { warned, unmanaged, status: _ })) => {
                if warned.is_some() {
                    notified.warned = warned;
                    notified.warning.clear();
                }
                if let Some(seen) = unmanaged {
                    notified.unmanaged = seen.grants;
                    notified.unmanaged_reported_at = Some(seen.at);
                }
            }
            None => {
                world.leases.remove(&self.image_lease());
                return Fixture::Over;
            }
        }
        Fixture::Telling(messages)
    }
}

/// What is sent and what is remembered of it, in turn.
fn messages(
    result: &ShareResult,
    ledger: &ImageLedger,
    plan: &NotificationPlan,
    without_bus: &BTreeSet<AccountId>,
) -> VecDeque<Message> {
    let letters = |notifications: &[(AccountId, Notification)]| {
        let reached = notifications.iter().filter(|(account, _)| !without_bus.contains(account));
        Message::Send(
            reached.map(|(account, notification)| (Some(account.clone()), notification.clone())).collect(),
        )
    };
    let accounts = |notifications: &[(AccountId, Notification)]| {
        notifications.iter().map(|(account, _)| account.clone()).collect()
    };
    let hub =
        plan.hub.iter().map(|hub_notifications| (None, hub_notifications.notification.clone())).collect();
    let conclusion = conclusion(result, ledger, plan);
    let warnings = |end| plan.warned.iter().map(|(account, _)| warning_of(account, end)).collect();
    let warnings = conclusion.warned.map(warnings).unwrap_or_default();
    VecDeque::from([
        letters(&plan.target_accounts),
        Message::AddNotified(accounts(&plan.target_accounts)),
        letters(&plan.former_accounts),
        Message::ForgetNotified([accounts(&plan.former_accounts), plan.forgotten.clone()].concat()),
        letters(&plan.warned),
        Message::AddWarned(warnings),
        Message::Send(hub),
        Message::Rows(
            plan.hub.iter().filter_map(|hub_notifications| hub_notifications.row.clone()).collect(),
        ),
        Message::Image(conclusion),
    ])
}
