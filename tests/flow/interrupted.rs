//! A look that is killed anywhere is finished by the next one.
//!
//! The real flow is stopped for good at every call that it makes: the function's process gets SIGKILL and its execution
//! ends. Then the image is looked at once more by hand, and all is as if nobody had been killed.
//!
//! An image goes to and fro between two wishes, so that one image can be killed many times. Between two calls nothing
//! changes, so a call that reads is stopped before AWS gets it, and one that writes after AWS did it and before the
//! function hears of it: those are all the states in which a look can leave the world.

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

/// Enough where another play has shown all.
const SOME: Density = Density::Writes { every: 12 };
/// All of the functions that the first play does not come to.
const MORE: Density = Density::CallsOf { functions: &["schedule-expiry", "report-usage"], every: 5 };

/// A stack, and who plays on it.
struct Environment {
    stack: Shared,
    warns_if_in_use: bool,
    accounts: OnceCell<Accounts>,
}

/// Two, since each is busy on one processor.
static LARGE: Environment =
    Environment { stack: Shared::new(), warns_if_in_use: false, accounts: OnceCell::const_new() };
/// Its notices wait for usage reports.
static WARNING: Environment =
    Environment { stack: Shared::new(), warns_if_in_use: true, accounts: OnceCell::const_new() };

/// To, and fro.
struct Scenario {
    /// What is shown.
    name: &'static str,
    to: Change,
    fro: Change,
    /// How many images play at the same time.
    images: usize,
    /// How many keys each of them has.
    keys: usize,
    /// Where it is stopped on the way there, and on the way back.
    density: (Density, Density),
    then: Then,
}

/// What is done after the stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The same is still wanted.
    Repeat,
    /// What was wanted before is wanted again.
    GoBack,
}

/// What came of a play.
struct Played {
    images: Vec<String>,
    points: Vec<Interruption>,
    times: Times,
}

/// How often the images went there, and back; how they began counts as one way back each.
struct Times {
    to: usize,
    fro: usize,
}

/// One way of a play: what leads there, what must come of it, and where it is still to be stopped.
struct Way<'a> {
    change: &'a Change,
    expected: EndState,
    /// How a look by hand ends then.
    trigger: String,
    points: Points,
    /// How often it was gone.
    times: AtomicUsize,
    /// Where something else came of it.
    disagreements: Mutex<Vec<String>>,
}

#[test]
fn a_reconciliation_that_grants_and_revokes_is_completed_after_a_kill_at_any_call() -> Result<()> {
    on(&LARGE, async |fixture, accounts| {
        let (home, named) = (&accounts.home, &accounts.named.id);
        let scenario = Scenario {
            name: "a look that gives and takes",
            to: shared_with(&format!("{home} {named}")),
            fro: shared_with(&format!("{home} {}", accounts.ou)),
            images: 6,
            keys: 1,
            // Both ways make the same calls, so that together they are stopped at every one.
            density: (Density::EveryOtherCall { from: 1 }, Density::EveryOtherCall { from: 0 }),
            then: Then::Repeat,
        };
        let Played { images, points, times } = scenario.on(fixture, accounts).await?;
        ensure!(has_no_gap(&points), "not every call was stopped: {points:?}");
        let (named, ou, inside) = (named.as_str(), accounts.ou.as_str(), accounts.inside.id.as_str());
        let (to, fro) = (times.to, times.fro);
        let least: [(&str, &str, &str, usize); 9] = [
            (HUB, "AMI Shared", named, to),
            (HUB, "AMI Unshared", named, fro - images.len()),
            (HUB, "AMI Shared", ou, fro),
            (HUB, "AMI Unshared", ou, to),
            (HUB, "AMI Share Failed", "", points.len()),
            (named, "AMI Shared", named, to),
            (named, "AMI Unshared", named, fro - images.len()),
            (inside, "AMI Shared", ou, fro),
            (inside, "AMI Unshared", inside, to),
        ];
        // Only who is killed while telling is followed by one who tells again.
        let again = points.iter().filter(|point| point.function == "notify-targets").count();
        accounts.received_at_least(&images, &least, again).await
    })
}

#[test]
fn a_killed_reconciliation_leaves_nothing_behind_when_the_desired_state_then_changes() -> Result<()> {
    on(&WARNING, async |fixture, accounts| {
        let (home, named) = (&accounts.home, &accounts.named.id);
        let scenario = Scenario {
            name: "another wish after the stop",
            to: shared_until(&format!("{home} {named}"), "2099-12-31"),
            fro: shared_until(&format!("{home} {}", accounts.ou), "2098-12-31"),
            images: 3,
            keys: 1,
            density: (Density::Writes { every: 4 }, Density::Nowhere),
            then: Then::GoBack,
        };
        scenario.on(fixture, accounts).await.map(|_| ())
    })
}

#[test]
fn the_next_reconciliation_completes_a_revocation_of_all_targets_and_a_first_share() -> Result<()> {
    on(&WARNING, async |fixture, accounts| {
        let selectors = format!("{} {}", accounts.named.id, accounts.ou);
        let scenario = Scenario {
            name: "the tags removed and set again",
            to: Change::Untag(vec!["ami-share:with", "ami-share:copy", "ami-share:until"]),
            fro: shared_until(&selectors, "2098-12-31"),
            images: 3,
            keys: 2,
            density: (MORE, MORE),
            then: Then::Repeat,
        };
        scenario.on(fixture, accounts).await.map(|_| ())
    })
}

#[test]
fn the_next_reconciliation_completes_an_interrupted_expiry() -> Result<()> {
    on(&WARNING, async |fixture, accounts| {
        let selectors = format!("{} {}", accounts.named.id, accounts.ou);
        let scenario = Scenario {
            name: "an end that has come and is put off",
            to: shared_until(&selectors, "2001-12-31"),
            fro: shared_until(&selectors, "2098-12-31"),
            images: 1,
            keys: 1,
            density: (SOME, Density::Nowhere),
            then: Then::Repeat,
        };
        scenario.on(fixture, accounts).await.map(|_| ())
    })
}

#[test]
fn the_next_reconciliation_completes_the_revocation_of_a_disabled_image() -> Result<()> {
    on(&WARNING, async |fixture, accounts| {
        let selectors = format!("{} {}", accounts.named.id, accounts.ou);
        let scenario = Scenario {
            name: "an image disabled and enabled",
            to: Change::Disable,
            fro: Change::Enable,
            images: 1,
            keys: 1,
            density: (SOME, Density::Nowhere),
            then: Then::Repeat,
        };
        scenario.on_images(fixture, accounts, &shared_until(&selectors, "2098-12-31")).await.map(|_| ())
    })
}

#[test]
fn the_next_reconciliation_completes_the_revocation_of_a_deregistered_image() -> Result<()> {
    on(&WARNING, async |fixture, accounts| {
        let started = Instant::now();
        let shared = shared_until(&format!("{} {}", accounts.named.id, accounts.ou), "2098-12-31");
        let model = Subject::set(fixture, accounts, 1, &shared).await?;
        let way = Way::uninterrupted(&model, &Change::Deregister, SOME).await?;
        // There is no way back, so every point needs an image of its own.
        let points = way.points.all();
        try_join_all(points.iter().map(async |_| {
            let subject = Subject::set(fixture, accounts, 1, &shared).await?;
            way.go(&subject, Then::Repeat).await
        }))
        .await?;
        ensure!(way.points.are_done(), "not every point was reached");
        way.agree()?;
        notify("an image deregistered", &points, started)
    })
}

#[test]
fn a_killed_function_is_retried_when_its_lease_has_expired() -> Result<()> {
    on(&LARGE, async |fixture, accounts| {
        let subject = Subject::set(fixture, accounts, 1, &shared_with(&accounts.stays.id)).await?;
        let point = Interruption {
            function: "share-image".to_owned(),
            action: None,
            call: 5,
            when: When::After,
            then: interruptions::Then::Kill,
        };
        fixture.hub.interrupt(&subject.image, &point).await?;
        let invoked = subject.go(&shared_with(&accounts.named.id)).await?;
        ensure!(invoked.iter().any(|invocation| invocation.state == "killed"), "nothing was killed");
        let mut expected = [accounts.foreign.id.as_str(), &accounts.named.id];
        expected.sort_unstable();
        assert_eq!(fixture.hub.launch_permissions(&subject.image).await?, expected);
        Ok(())
    })
}

fn on(
    environment: &'static Environment,
    test: impl AsyncFnOnce(&'static Fixture, &'static Accounts) -> Result<()>,
) -> Result<()> {
    flow_interrupted(&environment.stack, environment.warns_if_in_use, async |fixture| {
        let accounts = environment.accounts.get_or_try_init(|| Accounts::meet(fixture)).await?;
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
    async fn on(&self, fixture: &'static Fixture, accounts: &'static Accounts) -> Result<Played> {
        self.on_images(fixture, accounts, &self.fro).await
    }

    /// Plays on images that are as `begin` leaves them.
    async fn on_images(
        &self,
        fixture: &'static Fixture,
        accounts: &'static Accounts,
        begin: &Change,
    ) -> Result<Played> {
        let started = Instant::now();
        let stages =
            try_join_all((0..self.images).map(|_| Subject::set(fixture, accounts, self.keys, begin))).await?;
        let model = stages.first().context("no stage")?;
        // Only from the second time on is all as it will be each time.
        for change in [&self.to, &self.fro] {
            model.go(change).await?;
        }
        let to = Way::uninterrupted(model, &self.to, self.density.0).await?;
        let fro = Way::uninterrupted(model, &self.fro, self.density.1).await?;
        try_join_all(stages.iter().map(|subject| self.to_and_fro(subject, &to, &fro))).await?;
        to.agree()?;
        fro.agree()?;
        let points = [to.points.all(), fro.points.all()].concat();
        notify(self.name, &points, started)?;
        let times = Times { to: to.times(), fro: fro.times() + stages.len() };
        let images = stages.into_iter().map(|subject| subject.image).collect();
        Ok(Played { images, points, times })
    }

    async fn to_and_fro(&self, subject: &Subject, to: &Way<'_>, fro: &Way<'_>) -> Result<()> {
        while !(to.points.are_done() && fro.points.are_done()) {
            let stopped = to.go(subject, self.then).await?;
            let again = fro.go(subject, self.then).await?;
            if let (Then::GoBack, Some(point), None) = (self.then, stopped, again) {
                fro.compare(subject, &point).await?;
            }
        }
        Ok(())
    }
}

impl<'a> Way<'a> {
    /// What comes of it when nobody is killed.
    async fn uninterrupted(model: &Subject, change: &'a Change, density: Density) -> Result<Self> {
        let invoked = model.go(change).await?;
        let (expected, points) = (model.end_state().await?, Points::of(&invoked, density));
        Ok(Self {
            change,
            expected,
            trigger: model.trigger().await?,
            points,
            // This one, and the one before it.
            times: AtomicUsize::new(2),
            disagreements: Mutex::default(),
        })
    }

    fn times(&self) -> usize {
        self.times.load(Ordering::Relaxed)
    }

    /// Goes that way once. Stops at the next point, if there is one left, and answers it.
    async fn go(&self, subject: &Subject, then: Then) -> Result<Option<Interruption>> {
        self.times.fetch_add(1, Ordering::Relaxed);
        let Some((point, tries)) = self.points.next() else {
            subject.go(self.change).await?;
            return Ok(None);
        };
        if !subject.stop(self.change, &point).await? {
            self.points.missed(point, tries)?;
            return Ok(None);
        }
        if then == Then::Repeat {
            let trigger = subject.trigger().await?;
            ensure!(trigger == self.trigger, "the look after {point:?} is {trigger}, not {}", self.trigger);
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

    /// Fails when anything was different anywhere.
    fn agree(&self) -> Result<()> {
        let all = self.disagreements.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
        ensure!(all.is_empty(), "{:?} ended differently:\n{all}", self.change);
        Ok(())
    }
}

/// Whether each function was stopped at every call up to its last one.
fn has_no_gap(points: &[Interruption]) -> bool {
    let mut calls: BTreeMap<_, BTreeSet<usize>> = BTreeMap::new();
    for point in points {
        calls.entry((&point.function, &point.action)).or_default().insert(point.call);
    }
    calls.values().all(|calls| calls.last() == Some(&calls.len()))
}

/// Says, also where the test harness keeps to itself what tests print, how much was shown.
fn notify(name: &str, points: &[Interruption], started: Instant) -> Result<()> {
    ensure!(!points.is_empty(), "{name}: nothing was stopped anywhere");
    let steps: BTreeSet<_> = points.iter().map(|point| (&point.function, &point.action)).collect();
    let seconds = started.elapsed().as_secs();
    writeln!(stderr(), "{name}: stopped at {} points of {} steps in {seconds} s", points.len(), steps.len())?;
    Ok(())
}
