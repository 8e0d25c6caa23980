//! When an image must be reconciled again: at the end of its shares, and some days before the end to warn.
//!
//! An entry of EventBridge Scheduler starts the workflow once, somewhere within the minute of the entry
//! (<https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>). So the entry names the minute in
//! which the moment lies, and the workflow waits for the moment itself.

use jiff::{SignedDuration, Timestamp, Unit};
use serde::{Deserialize, Serialize};

use crate::image::desired::DesiredState;

/// A moment that is nearer than this is not left to Scheduler, which rejects an entry for a moment that has passed.
const NEAR_SECONDS: i64 = 15;

/// Stands for an entry of which the ledger does not know whether it exists, and for when. It equals no desired moment,
/// all of which lie ahead, so the next plan sets or cancels the entry whatever is desired.
const UNKNOWN: Timestamp = Timestamp::UNIX_EPOCH;

/// The two moments at which an image is reconciled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Schedules {
    /// When its shares end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end: Option<Timestamp>,
    /// When its targets are warned of that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub warning: Option<Timestamp>,
}

/// Which of the two entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScheduleKind {
    /// The end of the shares.
    End,
    /// The warning before it.
    Warning,
}

impl ScheduleKind {
    /// How the name of the entry ends.
    pub fn name(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Warning => "warning",
        }
    }
}

/// One call to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleStep {
    /// Creates or moves the entry.
    Set {
        /// Which.
        kind: ScheduleKind,
        /// The minute of the entry.
        minute: Timestamp,
        /// The moment that the workflow waits for.
        moment: Timestamp,
    },
    /// Starts the workflow at once, which then waits: the moment is too near for Scheduler.
    Start {
        /// Which.
        kind: ScheduleKind,
        /// The moment that the workflow waits for.
        moment: Timestamp,
    },
    /// Deletes the entry.
    Cancel {
        /// Which.
        kind: ScheduleKind,
    },
}

impl ScheduleStep {
    /// Which entry it changes.
    pub fn kind(&self) -> ScheduleKind {
        match *self {
            Self::Set { kind, .. } | Self::Start { kind, .. } | Self::Cancel { kind } => kind,
        }
    }
}

/// The schedules that the desired state needs.
pub fn desired(desired: &DesiredState, now: Timestamp) -> Schedules {
    let is_active = desired.revocation_reason.is_none() && desired.all_targets().next().is_some();
    let ahead = |moment: Option<Timestamp>| moment.filter(|moment| is_active && *moment > now);
    Schedules { end: ahead(desired.until), warning: ahead(desired.warn_at) }
}

/// From when on the targets are warned; `None` without an end, or when the stack warns of none.
pub fn warn_at(until: Option<Timestamp>, warning_days: u32) -> Option<Timestamp> {
    let warning_period = SignedDuration::from_hours(i64::from(warning_days) * 24);
    until?.checked_sub(warning_period).ok().filter(|_| warning_days > 0)
}

/// What must change so that the schedules are the `desired` ones; `actual` are those that the ledger records.
pub fn plan(actual: &Schedules, desired: &Schedules, now: Timestamp) -> Vec<ScheduleStep> {
    let end = (ScheduleKind::End, actual.end, desired.end);
    let warning = (ScheduleKind::Warning, actual.warning, desired.warning);
    [end, warning].into_iter().filter(|(_, actual, desired)| actual != desired).map(step(now)).collect()
}

/// What the ledger records while `steps` are applied: what they change is unknown. After an interruption the next
/// reconciliation applies them again, also when it desires what was desired before.
pub fn in_progress(steps: &[ScheduleStep], actual: &Schedules) -> Schedules {
    let mut schedules = *actual;
    for step in steps {
        match step.kind() {
            ScheduleKind::End => schedules.end = Some(UNKNOWN),
            ScheduleKind::Warning => schedules.warning = Some(UNKNOWN),
        }
    }
    schedules
}

fn step(now: Timestamp) -> impl Fn((ScheduleKind, Option<Timestamp>, Option<Timestamp>)) -> ScheduleStep {
    move |(kind, _, desired)| match desired {
        None => ScheduleStep::Cancel { kind },
        Some(moment) => match start_of_minute(moment) {
            minute if minute.as_second() - now.as_second() > NEAR_SECONDS => {
                ScheduleStep::Set { kind, minute, moment }
            }
            _ => ScheduleStep::Start { kind, moment },
        },
    }
}

/// The beginning of the minute in which a moment lies.
fn start_of_minute(moment: Timestamp) -> Timestamp {
    let rounding = jiff::TimestampRound::new().smallest(Unit::Minute).mode(jiff::RoundMode::Floor);
    moment.round(rounding).unwrap_or(moment)
}
