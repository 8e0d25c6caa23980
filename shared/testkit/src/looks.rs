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

use ami_share_domain::image_request::Given;
use ami_share_domain::key_request::{KeyAction, KeyOutcome};
use ami_share_domain::key_statements::KeyPrincipal;
use ami_share_domain::ledger::Intent;
use ami_share_domain::notice::TellPlan;
use ami_share_domain::share::{Share, Target};
use jiff::{SignedDuration, Timestamp};

use self::image::Change;
use self::key::KeyStage;
use self::telling::Message;
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

impl World {
    /// A look begins that finds `share` wanted; nothing has happened yet. A minute has gone by since the last.
    pub fn begin(&mut self, share: &Share) -> Running {
        self.looks += 1;
        self.clock += SignedDuration::from_mins(1);
        Running::new(share.clone(), self.looks, self.clock)
    }

    /// A whole look.
    pub fn look(&mut self, share: &Share) -> Running {
        let mut look = self.begin(share);
        while look.step(self) {}
        look
    }

    /// A look that is killed after so many steps; its turns end with it. Says whether it was killed at all.
    pub fn look_killed_after(&mut self, share: &Share, steps: usize) -> bool {
        let mut look = self.begin(share);
        let is_killed = (0..steps).all(|_| look.step(self));
        look.die(self);
        is_killed
    }
}

impl Running {
    fn new(mut share: Share, number: usize, now: Timestamp) -> Self {
        share.image.seen_at = now;
        Self { share, given: None, told: None, keys: Vec::new(), stage: Stage::Record, number, now }
    }

    /// Takes the next step, unless that needs a turn that another look has. `false` when there is none left. Each takes
    /// a moment.
    pub fn step(&mut self, world: &mut World) -> bool {
        world.clock += SignedDuration::from_millis(1);
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
}
