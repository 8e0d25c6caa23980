//! The next reconciliation completes one that was interrupted at any call.
//!
//! The tests interrupt the real flow at every call that it makes: they kill the process of the function with SIGKILL
//! and stop its execution. Then they start one more reconciliation, after which everything is as if no function had
//! been killed.
//!
//! An image alternates between two desired states, so one image can be interrupted many times. Nothing changes between
//! two calls. So a call that reads is interrupted before AWS gets it, and a call that writes after AWS has carried it
//! out and before the function gets the answer: these are all states that a reconciliation can leave behind.

mod accounts;
mod end_state;
mod points;
mod subject;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Write, stderr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use ami_share_tests::world::HUB;
use ami_share_tests::world::interruptions::{self, Interruption, When};
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use tokio::sync::OnceCell;

use self::accounts::Accounts;
use self::end_state::{EndState, differences};
use self::points::{Density, Points};
use self::subject::{Change, Subject};
use crate::fixture::{Fixture, Shared, flow_interrupted};

/// Few calls, for a scenario whose calls another one covers.
const SOME: Density = Density::Writes { every: 12 };
/// Every call of the functions that the first scenario does not invoke.
const MORE: Density = Density::CallsOf { functions: &["schedule-expiry", "report-usage"], every: 5 };

/// A stack and the accounts of its scenarios.
struct Environment {
    stack: Shared,
    warn_if_in_use: bool,
    accounts: OnceCell<Accounts>,
}

/// There are two stacks because each keeps one processor busy.
static PLAIN: Environment =
    Environment { stack: Shared::new(), warn_if_in_use: false, accounts: OnceCell::const_new() };
/// Its notifications wait for usage reports.
static WITH_USAGE_REPORTS: Environment =
    Environment { stack: Shared::new(), warn_if_in_use: true, accounts: OnceCell::const_new() };

/// Two changes of an image that undo each other, and where they are interrupted.
struct Scenario {
    /// Printed with the number of its points.
    name: &'static str,
    forward: Change,
    back: Change,
    /// How many images take part at the same time.
    images: usize,
    /// How many keys encrypt each image.
    keys: usize,
    /// Where the change forward is interrupted, and where the change back.
    density: (Density, Density),
    then: Then,
}

/// What follows an interruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// One more reconciliation of the same desired state.
    Repeat,
    /// The change back to the desired state before it.
    GoBack,
}

/// What a scenario has done.
struct Completed {
    images: Vec<String>,
    points: Vec<Interruption>,
    times: Times,
}

/// How often the images changed in each direction. The change that sets up an image counts as one change back.
struct Times {
    forward: usize,
    back: usize,
}

/// One direction of a scenario: its change, the expected end state, and the points where it is still to be interrupted.
struct Direction<'a> {
    change: &'a Change,
    expected: EndState,
    /// The status of the execution of one more reconciliation.
    outcome: String,
    points: Points,
    /// How often an image changed in this direction.
    times: AtomicUsize,
    /// Each end state that is not the expected one.
    disagreements: Mutex<Vec<String>>,
}

#[test]
fn a_reconciliation_that_grants_and_revokes_is_completed_after_a_kill_at_any_call() -> Result<()> {
    on(&PLAIN, async |fixture, accounts| {
        let (home, named) = (&accounts.home, &accounts.named.id);
        let scenario = Scenario {
            name: "a reconciliation that grants and revokes",
            forward: shared_with(&format!("{home} {named}")),
            back: shared_with(&format!("{home} {}", accounts.ou)),
            images: 6,
            keys: 1,
            // Both directions make the same calls, so together they are interrupted at every call.
            density: (Density::EveryOtherCall { from: 1 }, Density::EveryOtherCall { from: 0 }),
            then: Then::Repeat,
        };
        let Completed { images, points, times } = scenario.run(fixture, accounts).await?;
        ensure!(has_no_gap(&points), "not every call was interrupted: {points:?}");
        let (named, ou, inside) = (named.as_str(), accounts.ou.as_str(), accounts.inside.id.as_str());
        let (forward, back) = (times.forward, times.back);
        let least: [(&str, &str, &str, usize); 9] = [
            (HUB, "AMI Shared", named, forward),
            (HUB, "AMI Unshared", named, back - images.len()),
            (HUB, "AMI Shared", ou, back),
            (HUB, "AMI Unshared", ou, forward),
            (HUB, "AMI Share Failed", "", points.len()),
            (named, "AMI Shared", named, forward),
            (named, "AMI Unshared", named, back - images.len()),
            (inside, "AMI Shared", ou, back),
            (inside, "AMI Unshared", inside, forward),
        ];
        // A notification may be sent again only after a kill of the function that sends it.
        let repeats = points.iter().filter(|point| point.function == "notify-targets").count();
        accounts.received_at_least(&images, &least, repeats).await
    })
}

#[test]
fn a_killed_reconciliation_leaves_nothing_behind_when_the_desired_state_then_changes() -> Result<()> {
    on(&WITH_USAGE_REPORTS, async |fixture, accounts| {
        let (home, named) = (&accounts.home, &accounts.named.id);
        let scenario = Scenario {
            name: "another desired state after the interruption",
            forward: shared_until(&format!("{home} {named}"), "2099-12-31"),
            back: shared_until(&format!("{home} {}", accounts.ou), "2098-12-31"),
            images: 3,
            keys: 1,
            density: (Density::Writes { every: 4 }, Density::Nowhere),
            then: Then::GoBack,
        };
        scenario.run(fixture, accounts).await.map(|_| ())
    })
}

#[test]
fn the_next_reconciliation_completes_a_revocation_of_all_targets_and_a_first_share() -> Result<()> {
    on(&WITH_USAGE_REPORTS, async |fixture, accounts| {
        let selectors = format!("{} {}", accounts.named.id, accounts.ou);
        let scenario = Scenario {
            name: "the tags removed and set again",
            forward: Change::Untag(vec!["ami-share:with", "ami-share:copy", "ami-share:until"]),
            back: shared_until(&selectors, "2098-12-31"),
            images: 3,
            keys: 2,
            density: (MORE, MORE),
            then: Then::Repeat,
        };
        scenario.run(fixture, accounts).await.map(|_| ())
    })
}

#[test]
fn the_next_reconciliation_completes_an_interrupted_expiry() -> Result<()> {
    on(&WITH_USAGE_REPORTS, async |fixture, accounts| {
        let selectors = format!("{} {}", accounts.named.id, accounts.ou);
        let scenario = Scenario {
            name: "an expiry that is postponed",
            forward: shared_until(&selectors, "2001-12-31"),
            back: shared_until(&selectors, "2098-12-31"),
            images: 1,
            keys: 1,
            density: (SOME, Density::Nowhere),
            then: Then::Repeat,
        };
        scenario.run(fixture, accounts).await.map(|_| ())
    })
}

#[test]
fn the_next_reconciliation_completes_the_revocation_of_a_disabled_image() -> Result<()> {
    on(&WITH_USAGE_REPORTS, async |fixture, accounts| {
        let selectors = format!("{} {}", accounts.named.id, accounts.ou);
        let scenario = Scenario {
            name: "an image disabled and enabled",
            forward: Change::Disable,
            back: Change::Enable,
            images: 1,
            keys: 1,
            density: (SOME, Density::Nowhere),
            then: Then::Repeat,
        };
        scenario.run_from(fixture, accounts, &shared_until(&selectors, "2098-12-31")).await.map(|_| ())
    })
}

#[test]
fn the_next_reconciliation_completes_the_revocation_of_a_deregistered_image() -> Result<()> {
    on(&WITH_USAGE_REPORTS, async |fixture, accounts| {
        let started = Instant::now();
        let shared = shared_until(&format!("{} {}", accounts.named.id, accounts.ou), "2098-12-31");
        let model = Subject::create(fixture, accounts, 1, &shared).await?;
        let direction = Direction::uninterrupted(&model, &Change::Deregister, SOME).await?;
        // A deregistered image cannot change back, so every point needs its own image.
        let points = direction.points.all();
        try_join_all(points.iter().map(async |_| {
            let subject = Subject::create(fixture, accounts, 1, &shared).await?;
            direction.run(&subject, Then::Repeat).await
        }))
        .await?;
        ensure!(direction.points.are_done(), "not every point was reached");
        direction.check()?;
        print_summary("an image deregistered", &points, started)
    })
}

#[test]
fn a_killed_function_is_retried_when_its_lease_has_expired() -> Result<()> {
    on(&PLAIN, async |fixture, accounts| {
        let subject = Subject::create(fixture, accounts, 1, &shared_with(&accounts.stays.id)).await?;
        let point = Interruption {
            function: "share-image".to_owned(),
            action: None,
            call: 5,
            when: When::After,
            then: interruptions::Then::Kill,
        };
        fixture.hub.interrupt(&subject.image, &point).await?;
        let invoked = subject.apply(&shared_with(&accounts.named.id)).await?;
        ensure!(invoked.iter().any(|invocation| invocation.state == "killed"), "no function was killed");
        let mut expected = [accounts.unmanaged.id.as_str(), &accounts.named.id];
        expected.sort_unstable();
        assert_eq!(fixture.hub.launch_permissions(&subject.image).await?, expected);
        Ok(())
    })
}

fn on(
    environment: &'static Environment,
    test: impl AsyncFnOnce(&'static Fixture, &'static Accounts) -> Result<()>,
) -> Result<()> {
    flow_interrupted(&environment.stack, environment.warn_if_in_use, async |fixture| {
        let accounts = environment.accounts.get_or_try_init(|| Accounts::create(fixture)).await?;
        test(fixture, accounts).await
    })
}

fn shared_with(selectors: &str) -> Change {
    tagged(&[("ami-share:with", selectors), ("ami-share:copy", "allowed")])
}

fn shared_until(selectors: &str, until: &str) -> Change {
    tagged(&[("ami-share:with", selectors), ("ami-share:copy", "allowed"), ("ami-share:until", until)])
}

fn tagged(tags: &[(&'static str, &str)]) -> Change {
    Change::Tag(tags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect())
}

impl Scenario {
    async fn run(&self, fixture: &'static Fixture, accounts: &'static Accounts) -> Result<Completed> {
        self.run_from(fixture, accounts, &self.back).await
    }

    /// Runs the scenario on images that the change `begin` has set up.
    async fn run_from(
        &self,
        fixture: &'static Fixture,
        accounts: &'static Accounts,
        begin: &Change,
    ) -> Result<Completed> {
        let started = Instant::now();
        let subjects =
            try_join_all((0..self.images).map(|_| Subject::create(fixture, accounts, self.keys, begin)))
                .await?;
        let model = subjects.first().context("a scenario without images")?;
        // The first change in each direction may end differently from all later ones.
        for change in [&self.forward, &self.back] {
            model.apply(change).await?;
        }
        let forward = Direction::uninterrupted(model, &self.forward, self.density.0).await?;
        let back = Direction::uninterrupted(model, &self.back, self.density.1).await?;
        try_join_all(subjects.iter().map(|subject| self.alternate(subject, &forward, &back))).await?;
        forward.check()?;
        back.check()?;
        let points = [forward.points.all(), back.points.all()].concat();
        print_summary(self.name, &points, started)?;
        let times = Times { forward: forward.times(), back: back.times() + subjects.len() };
        let images = subjects.into_iter().map(|subject| subject.image).collect();
        Ok(Completed { images, points, times })
    }

    /// Changes an image forward and back until no point is left.
    async fn alternate(
        &self,
        subject: &Subject,
        forward: &Direction<'_>,
        back: &Direction<'_>,
    ) -> Result<()> {
        while !(forward.points.are_done() && back.points.are_done()) {
            let interrupted_forward = forward.run(subject, self.then).await?;
            let interrupted_back = back.run(subject, self.then).await?;
            if let (Then::GoBack, Some(point), None) = (self.then, interrupted_forward, interrupted_back) {
                back.compare(subject, &point).await?;
            }
        }
        Ok(())
    }
}

impl<'a> Direction<'a> {
    /// Finds the expected end state and the points by a change that is not interrupted.
    async fn uninterrupted(model: &Subject, change: &'a Change, density: Density) -> Result<Self> {
        let invoked = model.apply(change).await?;
        let (expected, points) = (model.end_state().await?, Points::of(&invoked, density));
        Ok(Self {
            change,
            expected,
            outcome: model.reconcile().await?,
            points,
            // This change and the one before it.
            times: AtomicUsize::new(2),
            disagreements: Mutex::default(),
        })
    }

    fn times(&self) -> usize {
        self.times.load(Ordering::Relaxed)
    }

    /// Changes an image once, interrupted at the next point if one is left. Returns the point of the interruption.
    async fn run(&self, subject: &Subject, then: Then) -> Result<Option<Interruption>> {
        self.times.fetch_add(1, Ordering::Relaxed);
        let Some((point, tries)) = self.points.next() else {
            subject.apply(self.change).await?;
            return Ok(None);
        };
        if !subject.interrupt(self.change, &point).await? {
            self.points.missed(point, tries)?;
            return Ok(None);
        }
        if then == Then::Repeat {
            let outcome = subject.reconcile().await?;
            ensure!(
                outcome == self.outcome,
                "the reconciliation after {point:?} is {outcome}, not {}",
                self.outcome
            );
            self.compare(subject, &point).await?;
        }
        Ok(Some(point))
    }

    async fn compare(&self, subject: &Subject, point: &Interruption) -> Result<()> {
        let differences = differences(&self.expected, &subject.end_state().await?);
        if !differences.is_empty() {
            let disagreement = format!("{} after {point:?}:\n  {}", subject.image, differences.join("\n  "));
            self.disagreements.lock().unwrap_or_else(PoisonError::into_inner).push(disagreement);
        }
        Ok(())
    }

    /// Fails if any end state was not the expected one.
    fn check(&self) -> Result<()> {
        let all = self.disagreements.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
        ensure!(all.is_empty(), "{:?} ended differently:\n{all}", self.change);
        Ok(())
    }
}

/// Whether each function was interrupted at every call up to its last one.
fn has_no_gap(points: &[Interruption]) -> bool {
    let mut calls: BTreeMap<_, BTreeSet<usize>> = BTreeMap::new();
    for point in points {
        calls.entry((&point.function, &point.action)).or_default().insert(point.call);
    }
    calls.values().all(|calls| calls.last() == Some(&calls.len()))
}

/// Prints how many points a scenario covered. It writes to stderr directly, which the test harness does not capture.
fn print_summary(name: &str, points: &[Interruption], started: Instant) -> Result<()> {
    ensure!(!points.is_empty(), "{name}: no call was interrupted");
    let steps: BTreeSet<_> = points.iter().map(|point| (&point.function, &point.action)).collect();
    let seconds = started.elapsed().as_secs();
    writeln!(
        stderr(),
        "{name}: interrupted at {} points of {} steps in {seconds} s",
        points.len(),
        steps.len()
    )?;
    Ok(())
}
