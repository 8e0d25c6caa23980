//! A look that is killed anywhere is finished by the next one.
//!
//! The real flow is stopped for good at every call that it makes: the function's process gets SIGKILL and its execution
//! ends. Then the image is looked at once more by hand, and all is as if nobody had been killed.
//!
//! An image goes to and fro between two wishes, so that one image can be killed many times. Between two calls nothing
//! changes, so a call that reads is stopped before AWS gets it, and one that writes after AWS did it and before the
//! function hears of it: those are all the states in which a look can leave the world.

mod cast;
mod ending;
mod points;
mod stage;

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

use self::cast::Cast;
use self::ending::{Ending, differences};
use self::points::{Density, Points};
use self::stage::{Change, Stage};
use crate::scene::{Scene, Shared, flow_killed};

/// Enough where another play has shown all.
const SOME: Density = Density::Writes { every: 12 };
/// All of the functions that the first play does not come to.
const MORE: Density = Density::CallsOf { functions: &["schedule-expiry", "report-usage"], every: 5 };

/// A stack, and who plays on it.
struct House {
    stack: Shared,
    warns_if_in_use: bool,
    cast: OnceCell<Cast>,
}

/// Two, since each is busy on one processor.
static LARGE: House = House { stack: Shared::new(), warns_if_in_use: false, cast: OnceCell::const_new() };
/// Its notices wait for usage reports.
static WARNING: House = House { stack: Shared::new(), warns_if_in_use: true, cast: OnceCell::const_new() };

/// To, and fro.
struct Play {
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
    LookAgain,
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
    expected: Ending,
    /// How a look by hand ends then.
    look: String,
    points: Points,
    /// How often it was gone.
    times: AtomicUsize,
    /// Where something else came of it.
    disagreements: Mutex<Vec<String>>,
}

#[test]
fn a_look_that_gives_and_takes_is_finished_from_every_call_where_it_was_killed() -> Result<()> {
    on(&LARGE, async |scene, cast| {
        let (home, named) = (&cast.home, &cast.named.id);
        let play = Play {
            name: "a look that gives and takes",
            to: shared_with(&format!("{home} {named}")),
            fro: shared_with(&format!("{home} {}", cast.ou)),
            images: 6,
            keys: 1,
            // Both ways make the same calls, so that together they are stopped at every one.
            density: (Density::EveryOtherCall { from: 1 }, Density::EveryOtherCall { from: 0 }),
            then: Then::LookAgain,
        };
        let Played { images, points, times } = play.on(scene, cast).await?;
        ensure!(has_no_gap(&points), "not every call was stopped: {points:?}");
        let (named, ou, inside) = (named.as_str(), cast.ou.as_str(), cast.inside.id.as_str());
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
        cast.heard_at_least(&images, &least, again).await
    })
}

#[test]
fn a_look_that_was_killed_leaves_nothing_behind_when_something_else_is_wanted_then() -> Result<()> {
    on(&WARNING, async |scene, cast| {
        let (home, named) = (&cast.home, &cast.named.id);
        let play = Play {
            name: "another wish after the stop",
            to: shared_until(&format!("{home} {named}"), "2099-12-31"),
            fro: shared_until(&format!("{home} {}", cast.ou), "2098-12-31"),
            images: 3,
            keys: 1,
            density: (Density::Writes { every: 4 }, Density::Nowhere),
            then: Then::GoBack,
        };
        play.on(scene, cast).await.map(|_| ())
    })
}

#[test]
fn a_withdrawal_from_everybody_and_a_first_share_are_finished_by_the_next_look() -> Result<()> {
    on(&WARNING, async |scene, cast| {
        let words = format!("{} {}", cast.named.id, cast.ou);
        let play = Play {
            name: "the tags removed and set again",
            to: Change::Untag(vec!["ami-share:with", "ami-share:copy", "ami-share:until"]),
            fro: shared_until(&words, "2098-12-31"),
            images: 3,
            keys: 2,
            density: (MORE, MORE),
            then: Then::LookAgain,
        };
        play.on(scene, cast).await.map(|_| ())
    })
}

#[test]
fn an_end_that_has_come_is_finished_by_the_next_look() -> Result<()> {
    on(&WARNING, async |scene, cast| {
        let words = format!("{} {}", cast.named.id, cast.ou);
        let play = Play {
            name: "an end that has come and is put off",
            to: shared_until(&words, "2001-12-31"),
            fro: shared_until(&words, "2098-12-31"),
            images: 1,
            keys: 1,
            density: (SOME, Density::Nowhere),
            then: Then::LookAgain,
        };
        play.on(scene, cast).await.map(|_| ())
    })
}

#[test]
fn what_ends_with_a_disabled_image_is_finished_by_the_next_look() -> Result<()> {
    on(&WARNING, async |scene, cast| {
        let words = format!("{} {}", cast.named.id, cast.ou);
        let play = Play {
            name: "an image disabled and enabled",
            to: Change::Disable,
            fro: Change::Enable,
            images: 1,
            keys: 1,
            density: (SOME, Density::Nowhere),
            then: Then::LookAgain,
        };
        play.on_images(scene, cast, &shared_until(&words, "2098-12-31")).await.map(|_| ())
    })
}

#[test]
fn what_ends_with_a_deregistered_image_is_finished_by_the_next_look() -> Result<()> {
    on(&WARNING, async |scene, cast| {
        let started = Instant::now();
        let shared = shared_until(&format!("{} {}", cast.named.id, cast.ou), "2098-12-31");
        let model = Stage::set(scene, cast, 1, &shared).await?;
        let way = Way::uninterrupted(&model, &Change::Deregister, SOME).await?;
        // There is no way back, so every point needs an image of its own.
        let points = way.points.all();
        try_join_all(points.iter().map(async |_| {
            let stage = Stage::set(scene, cast, 1, &shared).await?;
            way.go(&stage, Then::LookAgain).await
        }))
        .await?;
        ensure!(way.points.are_done(), "not every point was reached");
        way.agree()?;
        tell("an image deregistered", &points, started)
    })
}

#[test]
fn a_function_that_is_killed_once_is_tried_again_when_its_turn_has_run_out() -> Result<()> {
    on(&LARGE, async |scene, cast| {
        let stage = Stage::set(scene, cast, 1, &shared_with(&cast.stays.id)).await?;
        let point = Interruption {
            function: "share-image".to_owned(),
            action: None,
            call: 5,
            when: When::After,
            then: interruptions::Then::Kill,
        };
        scene.hub.interrupt(&stage.image, &point).await?;
        let invoked = stage.go(&shared_with(&cast.named.id)).await?;
        ensure!(invoked.iter().any(|invocation| invocation.state == "killed"), "nothing was killed");
        let mut expected = [cast.foreign.id.as_str(), &cast.named.id];
        expected.sort_unstable();
        assert_eq!(scene.hub.launch_permissions(&stage.image).await?, expected);
        Ok(())
    })
}

fn on(
    house: &'static House,
    test: impl AsyncFnOnce(&'static Scene, &'static Cast) -> Result<()>,
) -> Result<()> {
    flow_killed(&house.stack, house.warns_if_in_use, async |scene| {
        let cast = house.cast.get_or_try_init(|| Cast::meet(scene)).await?;
        test(scene, cast).await
    })
}

fn shared_with(words: &str) -> Change {
    tagged(&[("ami-share:with", words), ("ami-share:copy", "allowed")])
}

fn shared_until(words: &str, until: &str) -> Change {
    tagged(&[("ami-share:with", words), ("ami-share:copy", "allowed"), ("ami-share:until", until)])
}

fn tagged(tags: &[(&'static str, &str)]) -> Change {
    Change::Tag(tags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect())
}

impl Play {
    async fn on(&self, scene: &'static Scene, cast: &'static Cast) -> Result<Played> {
        self.on_images(scene, cast, &self.fro).await
    }

    /// Plays on images that are as `begin` leaves them.
    async fn on_images(&self, scene: &'static Scene, cast: &'static Cast, begin: &Change) -> Result<Played> {
        let started = Instant::now();
        let stages =
            try_join_all((0..self.images).map(|_| Stage::set(scene, cast, self.keys, begin))).await?;
        let model = stages.first().context("no stage")?;
        // Only from the second time on is all as it will be each time.
        for change in [&self.to, &self.fro] {
            model.go(change).await?;
        }
        let to = Way::uninterrupted(model, &self.to, self.density.0).await?;
        let fro = Way::uninterrupted(model, &self.fro, self.density.1).await?;
        try_join_all(stages.iter().map(|stage| self.to_and_fro(stage, &to, &fro))).await?;
        to.agree()?;
        fro.agree()?;
        let points = [to.points.all(), fro.points.all()].concat();
        tell(self.name, &points, started)?;
        let times = Times { to: to.times(), fro: fro.times() + stages.len() };
        let images = stages.into_iter().map(|stage| stage.image).collect();
        Ok(Played { images, points, times })
    }

    async fn to_and_fro(&self, stage: &Stage, to: &Way<'_>, fro: &Way<'_>) -> Result<()> {
        while !(to.points.are_done() && fro.points.are_done()) {
            let stopped = to.go(stage, self.then).await?;
            let again = fro.go(stage, self.then).await?;
            if let (Then::GoBack, Some(point), None) = (self.then, stopped, again) {
                fro.compare(stage, &point).await?;
            }
        }
        Ok(())
    }
}

impl<'a> Way<'a> {
    /// What comes of it when nobody is killed.
    async fn uninterrupted(model: &Stage, change: &'a Change, density: Density) -> Result<Self> {
        let invoked = model.go(change).await?;
        let (expected, points) = (model.ending().await?, Points::of(&invoked, density));
        Ok(Self {
            change,
            expected,
            look: model.look().await?,
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
    async fn go(&self, stage: &Stage, then: Then) -> Result<Option<Interruption>> {
        self.times.fetch_add(1, Ordering::Relaxed);
        let Some((point, tries)) = self.points.next() else {
            stage.go(self.change).await?;
            return Ok(None);
        };
        if !stage.stop(self.change, &point).await? {
            self.points.missed(point, tries)?;
            return Ok(None);
        }
        if then == Then::LookAgain {
            let look = stage.look().await?;
            ensure!(look == self.look, "the look after {point:?} is {look}, not {}", self.look);
            self.compare(stage, &point).await?;
        }
        Ok(Some(point))
    }

    async fn compare(&self, stage: &Stage, point: &Interruption) -> Result<()> {
        let differences = differences(&self.expected, &stage.ending().await?);
        if !differences.is_empty() {
            let disagreement = format!("{} after {point:?}:\n  {}", stage.image, differences.join("\n  "));
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
fn tell(name: &str, points: &[Interruption], started: Instant) -> Result<()> {
    ensure!(!points.is_empty(), "{name}: nothing was stopped anywhere");
    let steps: BTreeSet<_> = points.iter().map(|point| (&point.function, &point.action)).collect();
    let seconds = started.elapsed().as_secs();
    writeln!(stderr(), "{name}: stopped at {} points of {} steps in {seconds} s", points.len(), steps.len())?;
    Ok(())
}
