//! One look at one image, as the share workflow takes it, cut into steps: between any two of them a test may
//! kill it, or let another look go ahead.
//!
//! A step is one call, or some reads. What the functions do around the domain is told again here in the
//! smallest form: `resolve-share` records the intent, `extend-key-policy` admits, `share-image` opens and
//! closes, `extend-key-policy` retracts, `notify-targets` tells.

mod image;
mod key;
mod telling;

use std::collections::{BTreeSet, VecDeque};

use ami_share_domain::image::desired::Share;
use ami_share_domain::image::ledger::Intent;
use ami_share_domain::image::request::ShareResult;
use ami_share_domain::key::request::{KeyAction, KeyOutcome};
use ami_share_domain::notify::notification::NotificationPlan;
use ami_share_domain::targets::target::KeyPrincipal;
use ami_share_domain::targets::target::Target;
use jiff::{SignedDuration, Timestamp};

use self::image::Change;
use self::key::KeyStep;
use self::telling::Message;
use crate::world::{Lease, Managed, World};

/// A look under way.
#[derive(Debug, Clone)]
pub struct Running {
    /// What is wanted; it has its number once the first step is taken.
    pub share: Share,
    /// What came of the image, once it has.
    pub result: Option<ShareResult>,
    /// What was to be told, once that is known.
    pub notified: Option<NotificationPlan>,
    keys: Vec<KeyOutcome>,
    fixture: Fixture,
    number: usize,
    now: Timestamp,
}

#[derive(Debug, Clone)]
enum Fixture {
    Record,
    Key(KeyAction, KeyStep),
    Image,
    Changes(Box<ShareResult>, VecDeque<Change>),
    Tell,
    Telling(VecDeque<Message>),
    Over,
}

impl World {
    /// A look begins that finds `share` wanted; nothing has happened yet. A minute has gone by since the last.
    pub fn begin(&mut self, share: &Share) -> Running {
        self.reconciliations += 1;
        self.clock += SignedDuration::from_mins(1);
        Running::new(share.clone(), self.reconciliations, self.clock)
    }

    /// A whole look.
    pub fn trigger(&mut self, share: &Share) -> Running {
        let mut trigger = self.begin(share);
        while trigger.step(self) {}
        trigger
    }

    /// A look that is killed after so many steps; its turns end with it. Says whether it was killed at all.
    pub fn reconciliation_interrupted_after(&mut self, share: &Share, steps: usize) -> bool {
        let mut trigger = self.begin(share);
        let is_killed = (0..steps).all(|_| trigger.step(self));
        trigger.die(self);
        is_killed
    }
}

impl Running {
    fn new(mut share: Share, number: usize, now: Timestamp) -> Self {
        share.run.observed.at = now;
        Self { share, result: None, notified: None, keys: Vec::new(), fixture: Fixture::Record, number, now }
    }

    /// Takes the next step, unless that needs a turn that another look has. `false` when there is none left. Each takes
    /// a moment.
    pub fn step(&mut self, world: &mut World) -> bool {
        world.clock += SignedDuration::from_millis(1);
        self.fixture = match std::mem::replace(&mut self.fixture, Fixture::Over) {
            Fixture::Record => self.record(world),
            Fixture::Key(action, fixture) => self.key(action, fixture, world),
            Fixture::Image => self.image(world),
            Fixture::Changes(result, changes) => self.change(result, changes, world),
            Fixture::Tell => self.notify(world),
            Fixture::Telling(messages) => self.send(messages, world),
            Fixture::Over => Fixture::Over,
        };
        !self.is_over()
    }

    /// Whether there is no step left.
    pub fn is_over(&self) -> bool {
        matches!(self.fixture, Fixture::Over)
    }

    /// It is killed here; whatever turn it has ends after a while.
    pub fn die(&mut self, world: &mut World) {
        self.fixture = Fixture::Over;
        world.leases.retain(|_, holder| *holder != self.number);
    }

    fn takes(&self, lease: Lease, world: &mut World) -> bool {
        *world.leases.entry(lease).or_insert(self.number) == self.number
    }

    fn image_lease(&self) -> Lease {
        Lease::Image(self.share.desired.image.id.clone())
    }

    fn managed<'world>(&self, world: &'world mut World) -> &'world mut Managed {
        world.image_mut(&self.share.desired.image.id)
    }

    /// The intent, and whom it needs on the key, in one transaction.
    fn record(&mut self, world: &mut World) -> Fixture {
        let image = self.share.desired.image.id.clone();
        let ledger = &mut self.managed(world).ledger;
        let next = Intent::following(ledger.intent.as_ref(), &self.share);
        self.share.run.intent = next.number;
        let is_known = ledger.intent.as_ref() == Some(&next);
        ledger.intent = Some(next);
        if !is_known && !self.share.desired.targets.is_empty() && !self.share.desired.keys.is_empty() {
            let need = world.needs.needed_by.entry(image).or_default();
            let principals: BTreeSet<KeyPrincipal> =
                self.share.desired.targets.iter().map(Target::key_principal).collect();
            need.pending_revocation.retain(|principal| !principals.contains(principal));
            need.principals.extend(principals);
        }
        match self.share.desired.keys.first() {
            Some(_) => Fixture::Key(KeyAction::Grant, KeyStep::Ledger),
            None => Fixture::Image,
        }
    }
}
