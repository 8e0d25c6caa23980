//! A small model of what plans act upon: one image with its snapshots, one key, and the ledger.
//!
//! Each step is applied alone, so that a property can stop anywhere, look again, and go on.

use std::collections::BTreeSet;

use ami_share_domain::image_plan::{ImagePlan, ImageStep, ObservedImage, open};
use ami_share_domain::key_plan::{KeyPlan, extend};
use ami_share_domain::key_policy::KeyPolicy;
use ami_share_domain::key_statements::KeyPrincipal;
use ami_share_domain::ledger::{ImageLedger, ShareRow};
use ami_share_domain::notice::{TellPlan, plan};
use ami_share_domain::refusal::Refusal;
use ami_share_domain::share::{Given, LaunchPermission, Share, Target};
use jiff::Timestamp;

use crate::shares::given;

/// One image, and what the ledger knows of it.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Who has access.
    pub image: ObservedImage,
    /// What the ledger knows.
    pub ledger: ImageLedger,
}

/// Where a look dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Before the ledger is told what is about to be given.
    AtOnce,
    /// After this many steps on the image.
    AfterSteps(usize),
    /// When everything is done.
    Never,
}

impl World {
    /// A world in which somebody opened the image to `permissions` by hand.
    pub fn opened_by_hand(permissions: BTreeSet<LaunchPermission>) -> Self {
        Self { image: ObservedImage { launch: permissions, ..ObservedImage::default() }, ..Self::default() }
    }

    /// Makes one call.
    pub fn apply(&mut self, step: &ImageStep) {
        match step {
            ImageStep::OpenSnapshot { snapshot, accounts } => {
                self.image.snapshots.entry(snapshot.clone()).or_default().extend(accounts.iter().cloned());
            }
            ImageStep::OpenImage { permissions } => self.image.launch.extend(permissions.iter().cloned()),
        }
    }

    /// Does what `share-image` does: ledger, calls, ledger; and dies where it is told to.
    pub fn give(
        &mut self,
        share: &Share,
        refused: Vec<Refusal>,
        now: Timestamp,
        crash: Crash,
    ) -> Option<Given> {
        let given = given(share.clone(), refused);
        let targets: Vec<&Target> = share
            .targets
            .iter()
            .filter(|target| given.shared.iter().any(|name| name == target.name()))
            .collect();
        let ImagePlan { steps, refused: _ } = open(&self.image, &targets, &share.snapshots, usize::MAX);
        if crash == Crash::AtOnce {
            return None;
        }
        let adds: BTreeSet<LaunchPermission> = steps.iter().flat_map(launch_permissions).collect();
        let is_added = |target: &Target| adds.contains(&target.launch_permission());
        let before = self.ledger.rows_before(share, &targets, is_added, now);
        self.store(before);
        for (done, step) in steps.iter().enumerate() {
            if crash == Crash::AfterSteps(done) {
                return None;
            }
            self.apply(step);
        }
        if crash != Crash::Never {
            return None;
        }
        let (rows, gone) = self.ledger.rows_after(&given, now);
        self.store(rows);
        self.ledger.shares.retain(|name, _| !gone.contains(name));
        Some(given)
    }

    /// Does what `notify-targets` does when every account has a bus.
    pub fn tell(&mut self, given: &Given) -> TellPlan {
        let told = plan(given, &self.ledger);
        for (_, row, news) in &told.hub {
            self.store(vec![ShareRow { told: Some(news.clone()), ..row.clone() }]);
        }
        self.ledger.told.delivered.extend(told.members.iter().map(|(account, _)| account.to_string()));
        told
    }

    fn store(&mut self, rows: Vec<ShareRow>) {
        self.ledger.shares.extend(rows.into_iter().map(|row| (row.target.clone(), row)));
    }
}

fn launch_permissions(step: &ImageStep) -> Vec<LaunchPermission> {
    match step {
        ImageStep::OpenImage { permissions } => permissions.clone(),
        ImageStep::OpenSnapshot { .. } => Vec::new(),
    }
}

/// A key's policy as KMS keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The document.
    pub policy: String,
}

impl Key {
    /// Plans to admit `wanted`.
    pub fn plan(&self, wanted: &BTreeSet<KeyPrincipal>) -> KeyPlan {
        extend(&self.read(), wanted, "aws")
    }

    /// Puts the plan's document, if it has one.
    pub fn apply(&mut self, plan: &KeyPlan) {
        if let Some(document) = &plan.document {
            self.policy.clone_from(document);
        }
    }

    /// Plans and applies.
    pub fn extend(&mut self, wanted: &BTreeSet<KeyPrincipal>) -> KeyPlan {
        let plan = self.plan(wanted);
        self.apply(&plan);
        plan
    }

    /// The policy, parted into foreign statements and ours.
    pub fn read(&self) -> KeyPolicy {
        KeyPolicy::parse(&self.policy).unwrap()
    }
}
