//! The steps of `notify-targets`: tells.

use std::collections::{BTreeSet, VecDeque};

use ami_share_domain::ids::AccountId;
use ami_share_domain::image_request::Given;
use ami_share_domain::ledger::{ImageLedger, ShareRow};
use ami_share_domain::notice::{Conclusion, Notice, TellPlan, conclusion, plan, warning_of};

use super::{Running, Stage};
use crate::world::World;

/// One write of `notify-targets`.
#[derive(Debug, Clone)]
pub(super) enum Message {
    Send(Vec<(Option<AccountId>, Notice)>),
    AddTold(Vec<AccountId>),
    ForgetTold(Vec<AccountId>),
    AddWarned(Vec<String>),
    Rows(Vec<ShareRow>),
    Image(Conclusion),
}

impl Running {
    pub(super) fn tell(&mut self, world: &mut World) -> Stage {
        if !self.takes(self.image_turn(), world) {
            return Stage::Tell;
        }
        let without_bus = world.without_bus.clone();
        let ledger = self.managed(world).ledger.clone();
        let given = self.given.clone().unwrap();
        if ledger.supersedes(&self.share) {
            world.turns.remove(&self.image_turn());
            return Stage::Over;
        }
        let plan = plan(&given, &ledger, self.now);
        let messages = messages(&given, &ledger, &plan, &without_bus);
        self.told = Some(plan);
        Stage::Telling(messages)
    }

    pub(super) fn send(&mut self, mut messages: VecDeque<Message>, world: &mut World) -> Stage {
        let without_bus = world.without_bus.clone();
        let managed = self.managed(world);
        let told = &mut managed.ledger.told;
        match messages.pop_front() {
            Some(Message::Send(letters)) => managed.sent.extend(letters),
            Some(Message::AddTold(accounts)) => {
                for account in accounts {
                    let has_none = without_bus.contains(&account);
                    let set = if has_none { &mut told.without_bus } else { &mut told.delivered };
                    set.insert(account.to_string());
                }
            }
            Some(Message::ForgetTold(accounts)) => {
                let is_named = |told: &String| accounts.iter().any(|account| account.as_str() == told);
                told.delivered.retain(|told| !is_named(told));
                told.without_bus.retain(|told| !is_named(told));
            }
            Some(Message::AddWarned(warnings)) => told.warning.extend(warnings),
            Some(Message::Rows(rows)) => managed.store(rows),
            Some(Message::Image(Conclusion { warned, unmanaged, status: _ })) => {
                if warned.is_some() {
                    told.warned = warned;
                    told.warning.clear();
                }
                if let Some(seen) = unmanaged {
                    told.unmanaged = seen.grants;
                    told.unmanaged_seen = Some(seen.at);
                }
            }
            None => {
                world.turns.remove(&self.image_turn());
                return Stage::Over;
            }
        }
        Stage::Telling(messages)
    }
}

/// What is sent and what is remembered of it, in turn.
fn messages(
    given: &Given,
    ledger: &ImageLedger,
    plan: &TellPlan,
    without_bus: &BTreeSet<AccountId>,
) -> VecDeque<Message> {
    let letters = |notices: &[(AccountId, Notice)]| {
        let reached = notices.iter().filter(|(account, _)| !without_bus.contains(account));
        Message::Send(reached.map(|(account, notice)| (Some(account.clone()), notice.clone())).collect())
    };
    let accounts =
        |notices: &[(AccountId, Notice)]| notices.iter().map(|(account, _)| account.clone()).collect();
    let hub = plan.hub.iter().map(|news| (None, news.notice.clone())).collect();
    let conclusion = conclusion(given, ledger, plan);
    let warnings = |end| plan.warned.iter().map(|(account, _)| warning_of(account, end)).collect();
    let warnings = conclusion.warned.map(warnings).unwrap_or_default();
    VecDeque::from([
        letters(&plan.members),
        Message::AddTold(accounts(&plan.members)),
        letters(&plan.leavers),
        Message::ForgetTold([accounts(&plan.leavers), plan.forgotten.clone()].concat()),
        letters(&plan.warned),
        Message::AddWarned(warnings),
        Message::Send(hub),
        Message::Rows(plan.hub.iter().filter_map(|news| news.row.clone()).collect()),
        Message::Image(conclusion),
    ])
}
