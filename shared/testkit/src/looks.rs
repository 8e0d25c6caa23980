//! One look at one image, as the share workflow takes it, cut into steps: between any two of them a test may
//! kill it, or let another look go ahead.
//!
//! A step is one call, or some reads. What the functions do around the domain is told again here in the
//! smallest form: `resolve-share` records the intent, `extend-key-policy` admits, `share-image` opens and
//! closes, `extend-key-policy` retracts, `notify-targets` tells.

use std::collections::{BTreeSet, VecDeque};

use ami_share_domain::audit::{AuditRow, Deed};
use ami_share_domain::ids::{AccountId, KeyArn, SnapshotId};
use ami_share_domain::image_plan::{self, ImagePlan, ImageStep, ObservedImage, Wanted};
use ami_share_domain::key_decision::KeyDecision;
use ami_share_domain::key_plan::KeyPlan;
use ami_share_domain::key_statements::KeyPrincipal;
use ami_share_domain::ledger::{ImageLedger, Intent, KeyLedger, ShareRow};
use ami_share_domain::notice::{Notice, TellPlan, plan};
use ami_share_domain::refusal::{Refusal, RefusalCode};
use ami_share_domain::share::{
    Given, ImageRequest, KeyAction, KeyOutcome, KeyRequest, LeftOut, Share, Target,
};
use jiff::Timestamp;

use crate::shares::{given, overtaken};
use crate::world::{Managed, Turn, World};

/// A look under way.
#[derive(Debug, Clone)]
pub struct Running {
    /// What is wanted; it has its number once the first step is taken.
    pub share: Share,
    /// What came of the image, once it has.
    pub given: Option<Given>,
    /// What was to be told, once that is known.
    pub told: Option<TellPlan>,
    keys: Vec<KeyOutcome>,
    stage: Stage,
    number: usize,
    now: Timestamp,
}

#[derive(Debug, Clone)]
enum Stage {
    Record,
    Key(KeyAction, KeyStage),
    Image,
    Changes(Box<Given>, VecDeque<Change>),
    Tell,
    Telling(VecDeque<Message>),
    Over,
}

#[derive(Debug, Clone)]
enum KeyStage {
    Ledger,
    Policy(KeyLedger),
    GiveUp(BTreeSet<KeyPrincipal>),
    Turn,
    Put(Box<SeenKey>),
    Conclude(Box<SeenKey>),
}

/// A key as a look has seen it.
#[derive(Debug, Clone)]
struct SeenKey {
    ledger: KeyLedger,
    decision: KeyDecision,
}

/// One write of `share-image`.
#[derive(Debug, Clone)]
enum Change {
    History(Vec<AuditRow>),
    Rows(Vec<ShareRow>),
    Remember(SnapshotId, Vec<AccountId>),
    Call(ImageStep),
    Forget(SnapshotId, Vec<AccountId>),
    Record,
}

/// One write of `notify-targets`.
#[derive(Debug, Clone)]
enum Message {
    Send(Vec<(Option<AccountId>, Notice)>),
    AddTold(Vec<AccountId>),
    ForgetTold(Vec<AccountId>),
    Rows(Vec<ShareRow>),
    Image { warned: Option<Timestamp>, unmanaged: BTreeSet<String> },
}

impl Running {
    pub(crate) fn new(share: Share, number: usize, now: Timestamp) -> Self {
        Self { share, given: None, told: None, keys: Vec::new(), stage: Stage::Record, number, now }
    }

    /// Takes the next step, unless that needs a turn that another look has. `false` when there is none left.
    pub fn step(&mut self, world: &mut World) -> bool {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Record => self.record(world),
            Stage::Key(action, stage) => self.key(action, stage, world),
            Stage::Image => self.image(world),
            Stage::Changes(given, changes) => self.change(given, changes, world),
            Stage::Tell => self.tell(world),
            Stage::Telling(messages) => self.send(messages, world),
            Stage::Over => Stage::Over,
        };
        !self.is_over()
    }

    /// Whether there is no step left.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// It is killed here; whatever turn it has ends after a while.
    pub fn die(&mut self, world: &mut World) {
        self.stage = Stage::Over;
        world.turns.retain(|_, holder| *holder != self.number);
    }

    fn takes(&self, turn: Turn, world: &mut World) -> bool {
        *world.turns.entry(turn).or_insert(self.number) == self.number
    }

    fn image_turn(&self) -> Turn {
        Turn::Image(self.share.image.id.clone())
    }

    fn managed<'world>(&self, world: &'world mut World) -> &'world mut Managed {
        world.image_mut(&self.share.image.id)
    }

    /// The intent, and whom it needs on the key, in one transaction.
    fn record(&mut self, world: &mut World) -> Stage {
        let image = self.share.image.id.clone();
        let ledger = &mut self.managed(world).ledger;
        let next = Intent::following(ledger.intent.as_ref(), &self.share, self.share.wish());
        self.share.intent = next.number;
        let is_known = ledger.intent.as_ref() == Some(&next);
        ledger.intent = Some(next);
        if !is_known && !self.share.targets.is_empty() && !self.share.keys.is_empty() {
            let need = world.needs.needed_by.entry(image).or_default();
            let principals: BTreeSet<KeyPrincipal> =
                self.share.targets.iter().map(Target::key_principal).collect();
            need.leaving.retain(|principal| !principals.contains(principal));
            need.principals.extend(principals);
        }
        match self.share.keys.first() {
            Some(_) => Stage::Key(KeyAction::Extend, KeyStage::Ledger),
            None => Stage::Image,
        }
    }

    fn key_arn(&self) -> KeyArn {
        self.share.keys.first().unwrap().clone()
    }

    fn see(&self, action: KeyAction, ledger: KeyLedger, world: &World) -> SeenKey {
        let Share { image, intent, targets, kept, asked, .. } = &self.share;
        let request = KeyRequest {
            key: self.key_arn(),
            image_id: image.id.clone(),
            action,
            intent: *intent,
            targets: targets.clone(),
            kept: kept.clone(),
            asked: Some(asked.clone()),
            dry_run: false,
        };
        let decision = KeyDecision::of(&request, &ledger, &world.key.read());
        SeenKey { ledger, decision }
    }

    fn key(&mut self, action: KeyAction, stage: KeyStage, world: &mut World) -> Stage {
        match stage {
            KeyStage::Ledger => {
                let is_taken = world.turns.contains_key(&Turn::Key);
                Stage::Key(action, KeyStage::Policy(KeyLedger { is_taken, ..world.needs.clone() }))
            }
            KeyStage::Policy(ledger) => self.begin_key(action, ledger, world),
            KeyStage::GiveUp(given_up) => self.give_up(action, &given_up, world),
            KeyStage::Turn if !self.takes(Turn::Key, world) => Stage::Key(action, KeyStage::Turn),
            KeyStage::Turn => {
                let seen = Box::new(self.see(action, world.needs.clone(), world));
                Stage::Key(action, KeyStage::Put(seen))
            }
            KeyStage::Put(seen) => {
                put(&seen.decision.plan, world);
                Stage::Key(action, KeyStage::Conclude(seen))
            }
            KeyStage::Conclude(seen) => {
                let outcome = self.conclude(action, &seen, world);
                world.turns.remove(&Turn::Key);
                self.after_key(action, outcome)
            }
        }
    }

    fn begin_key(&mut self, action: KeyAction, ledger: KeyLedger, world: &World) -> Stage {
        let seen = self.see(action, ledger, world);
        match action {
            KeyAction::Extend => {
                let is_settled =
                    seen.decision.plan.document.is_none() && seen.decision.plan.no_room.is_empty();
                match is_settled && !seen.ledger.is_taken {
                    true => self.after_key(action, self.extended(&seen, Vec::new())),
                    false => Stage::Key(action, KeyStage::Turn),
                }
            }
            KeyAction::Retract if seen.decision.to_retract().is_empty() => Stage::Tell,
            KeyAction::Retract => {
                let given_up = seen.decision.given_up;
                let next = if given_up.is_empty() { KeyStage::Turn } else { KeyStage::GiveUp(given_up) };
                Stage::Key(action, next)
            }
        }
    }

    fn give_up(&self, action: KeyAction, given_up: &BTreeSet<KeyPrincipal>, world: &mut World) -> Stage {
        if self.managed(world).ledger.supersedes(&self.share) {
            return Stage::Tell;
        }
        let need = world.needs.needed_by.entry(self.share.image.id.clone()).or_default();
        need.principals.retain(|principal| !given_up.contains(principal));
        need.left_out.retain(|principal| !given_up.contains(principal));
        need.leaving.extend(given_up.iter().cloned());
        Stage::Key(action, KeyStage::Turn)
    }

    fn conclude(&self, action: KeyAction, seen: &SeenKey, world: &mut World) -> KeyOutcome {
        let added = seen.decision.plan.added.iter();
        let rejected: Vec<KeyPrincipal> =
            added.filter(|principal| world.rejected.contains(*principal)).cloned().collect();
        let outcome = self.extended(seen, rejected);
        let tried = match action {
            KeyAction::Extend => seen.decision.wanted.clone(),
            KeyAction::Retract => {
                for need in world.needs.needed_by.values_mut() {
                    need.leaving.retain(|principal| !seen.decision.leaving.contains(principal));
                }
                world
                    .needs
                    .needed_by
                    .retain(|_, need| !(need.principals.is_empty() && need.leaving.is_empty()));
                BTreeSet::new()
            }
        };
        let left_out = outcome.left_out.iter().map(|left_out| left_out.principal.clone()).collect();
        for change in seen.ledger.left_out_changes(&tried, &left_out) {
            let need = world.needs.needed_by.entry(change.image).or_default();
            need.left_out.extend(change.add);
            need.left_out.retain(|principal| !change.remove.contains(principal));
        }
        outcome
    }

    fn extended(&self, seen: &SeenKey, rejected: Vec<KeyPrincipal>) -> KeyOutcome {
        let left_out = |principal: &KeyPrincipal| LeftOut {
            principal: principal.clone(),
            code: RefusalCode::RejectedByAws,
            reason: format!("{principal} is left out in this test"),
        };
        KeyOutcome {
            added: seen
                .decision
                .plan
                .added
                .iter()
                .filter(|principal| !rejected.contains(principal))
                .cloned()
                .collect(),
            leaving: seen.decision.to_retract().into_iter().collect(),
            left_out: seen.decision.plan.no_room.iter().chain(&rejected).map(left_out).collect(),
            ..KeyOutcome::unchanged(&self.key_arn())
        }
    }

    fn after_key(&mut self, action: KeyAction, outcome: KeyOutcome) -> Stage {
        match action {
            KeyAction::Extend => {
                self.keys = vec![outcome];
                Stage::Image
            }
            KeyAction::Retract => Stage::Tell,
        }
    }

    /// Sees the image and decides what to do with it.
    fn image(&mut self, world: &mut World) -> Stage {
        if !self.takes(self.image_turn(), world) {
            return Stage::Image;
        }
        let (limit, makes_private) = (world.limit, world.makes_private);
        let Managed { observed, ledger, .. } = self.managed(world).clone();
        let share = &self.share;
        if ledger.supersedes(share) || (observed.is_gone && share.ending.is_none()) {
            self.given = Some(overtaken(share.clone()));
            world.turns.remove(&self.image_turn());
            return Stage::Over;
        }
        let request = ImageRequest { share: share.clone(), keys: self.keys.clone() };
        let (mut targets, mut refused) = request.admitted();
        let wanted = Wanted {
            targets: &targets,
            snapshots: &share.snapshots,
            leaving: &ledger.leaving(share),
            leaving_snapshots: &ledger.leaving_snapshots(share),
            limit,
            makes_private,
        };
        let plan = image_plan::plan(&observed, &wanted);
        if let Some(refusal) = &plan.refused {
            let all = targets.drain(..);
            refused.extend(all.map(|target| Refusal { word: target.name().to_owned(), ..refusal.clone() }));
        }
        let private = plan.closing.iter().filter(|step| step.deed() == Deed::MadePrivate);
        let made_private = private.map(|step| self.resource(step)).collect();
        let retract = self.keys.iter().filter(|key| !key.leaving.is_empty()).map(|key| key.key.clone());
        let given = Given {
            withdrawn: ledger.leaving(share).into_iter().collect(),
            restored: request.restored(&targets, &observed, &ledger),
            unmanaged: image_plan::unmanaged(&observed, &share.image.id, share, &ledger),
            made_private,
            retract: retract.collect(),
            ..given(share.clone(), refused)
        };
        let changes = self.changes(&request, &targets, &plan, (&observed, &ledger));
        Stage::Changes(Box::new(given), changes)
    }

    fn changes(
        &self,
        request: &ImageRequest,
        targets: &[&Target],
        plan: &ImagePlan,
        (observed, ledger): (&ObservedImage, &ImageLedger),
    ) -> VecDeque<Change> {
        let share = &self.share;
        let adopted = request.adopted(targets, observed, ledger);
        let mut found = ledger.unrecorded(share, observed);
        found.extend(adopted.rows(share));
        let added = plan.launch_permissions();
        let is_new = |target: &Target| {
            added.contains(&target.launch_permission()) || adopted.targets.contains(target.name())
        };
        let rows = ledger.rows_before(share, targets, is_new, self.now);
        let mut changes = VecDeque::from([Change::History(found), Change::Rows(rows)]);
        changes.extend(
            adopted.snapshots.into_iter().map(|(snapshot, accounts)| Change::Remember(snapshot, accounts)),
        );
        let opening = [false, true].map(|is_of_image| (&plan.opening, is_of_image));
        let closing = [true, false].map(|is_of_image| (&plan.closing, is_of_image));
        let rounds = if plan.closes_first { [closing, opening] } else { [opening, closing] };
        for (steps, is_of_image) in rounds.into_iter().flatten() {
            let steps: Vec<&ImageStep> =
                steps.iter().filter(|step| step.is_of_image() == is_of_image).collect();
            changes.extend(steps.iter().flat_map(|step| calls(step)));
            changes.push_back(Change::History(steps.iter().map(|step| self.history(step)).collect()));
        }
        changes.push_back(Change::Record);
        changes.retain(|change| !matches!(change, Change::History(rows) if rows.is_empty()));
        changes.retain(|change| !matches!(change, Change::Rows(rows) if rows.is_empty()));
        changes
    }

    fn history(&self, step: &ImageStep) -> AuditRow {
        let Share { asked, intent, .. } = &self.share;
        let row = AuditRow::new(step.deed(), self.resource(step), step.whom(), asked, *intent);
        row.done(self.now, None)
    }

    fn resource(&self, step: &ImageStep) -> String {
        step.snapshot().map_or_else(|| self.share.image.id.to_string(), ToString::to_string)
    }

    fn change(&mut self, given: Box<Given>, mut changes: VecDeque<Change>, world: &mut World) -> Stage {
        let managed = self.managed(world);
        match changes.pop_front() {
            Some(Change::History(rows)) => managed.history.extend(rows),
            Some(Change::Rows(rows)) => managed.store(rows),
            Some(Change::Remember(snapshot, accounts)) => {
                managed.ledger.snapshots.entry(snapshot).or_default().extend(accounts);
            }
            Some(Change::Call(step)) => crate::world::apply(&mut managed.observed, &step),
            Some(Change::Forget(snapshot, accounts)) => {
                let recorded = managed.ledger.snapshots.entry(snapshot).or_default();
                recorded.retain(|account| !accounts.contains(account));
            }
            Some(Change::Record) | None => {
                let (rows, gone) = managed.ledger.rows_after(&given, self.now);
                managed.store(rows);
                managed.ledger.shares.retain(|name, _| !gone.contains(name));
                world.turns.remove(&self.image_turn());
                let must_retract = !given.retract.is_empty();
                self.given = Some(*given);
                return match must_retract {
                    true => Stage::Key(KeyAction::Retract, KeyStage::Ledger),
                    false => Stage::Tell,
                };
            }
        }
        Stage::Changes(given, changes)
    }

    fn tell(&mut self, world: &mut World) -> Stage {
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

    fn send(&mut self, mut messages: VecDeque<Message>, world: &mut World) -> Stage {
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
            Some(Message::Rows(rows)) => managed.store(rows),
            Some(Message::Image { warned, unmanaged }) => {
                told.warned = warned.or(told.warned);
                told.unmanaged = unmanaged;
            }
            None => {
                world.turns.remove(&self.image_turn());
                return Stage::Over;
            }
        }
        Stage::Telling(messages)
    }
}

/// Puts the plan's policy, without those whom KMS does not take.
fn put(plan: &KeyPlan, world: &mut World) {
    world.key.apply(plan);
    let rejected: BTreeSet<KeyPrincipal> =
        plan.added.iter().filter(|principal| world.rejected.contains(*principal)).cloned().collect();
    world.key.retract(&rejected);
}

/// A snapshot's account is written down before it is let in, and forgotten after it is shut out.
fn calls(step: &ImageStep) -> Vec<Change> {
    let call = Change::Call(step.clone());
    match step {
        ImageStep::OpenSnapshot { snapshot, accounts } => {
            vec![Change::Remember(snapshot.clone(), accounts.clone()), call]
        }
        ImageStep::CloseSnapshot { snapshot, accounts } => {
            vec![call, Change::Forget(snapshot.clone(), accounts.clone())]
        }
        _ => vec![call],
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
    let unmanaged = given.unmanaged.iter().filter(|grant| !given.made_private.contains(&grant.resource));
    let warned = given.share.until.filter(|_| plan.is_warning).or(ledger.told.warned);
    VecDeque::from([
        letters(&plan.members),
        Message::AddTold(accounts(&plan.members)),
        letters(&plan.leavers),
        Message::ForgetTold([accounts(&plan.leavers), plan.forgotten.clone()].concat()),
        letters(&plan.warned),
        Message::Send(hub),
        Message::Rows(plan.hub.iter().filter_map(|news| news.row.clone()).collect()),
        Message::Image { warned, unmanaged: unmanaged.map(ToString::to_string).collect() },
    ])
}
