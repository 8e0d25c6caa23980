//! When an image must be looked at again: at the end of its shares, and some days before it to warn.
//!
//! EventBridge Scheduler keeps the appointments. It fires once somewhere within the minute that it was told
//! (<https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>), so it is told the minute in
//! which the moment lies, and the workflow waits for the moment itself.

use jiff::{SignedDuration, Timestamp, Unit};
use serde::{Deserialize, Serialize};

use crate::image::desired::DesiredState;

/// What is nearer than this is not left to Scheduler: it takes no appointment that is past when it arrives.
const NEAR_SECONDS: i64 = 15;

/// Stands for an appointment of which nobody knows whether it was made, and for when. None is ever wanted for a
/// moment that is past, so whatever is wanted, it is to be set or cancelled.
const UNKNOWN: Timestamp = Timestamp::UNIX_EPOCH;

/// The two moments at which an image is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Schedules {
    /// When its shares end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end: Option<Timestamp>,
    /// When its targets are warned of that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub warning: Option<Timestamp>,
}

/// Which appointment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScheduleKind {
    /// The end of the shares.
    End,
    /// The warning before it.
    Warning,
}

impl ScheduleKind {
    /// How the appointment's name ends.
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
    /// Makes or moves the appointment.
    Set {
        /// Which.
        schedule_kind: ScheduleKind,
        /// The minute that Scheduler is told.
        minute: Timestamp,
        /// The moment that the workflow waits for.
        moment: Timestamp,
    },
    /// Starts the workflow at once, which waits: the moment is too near for Scheduler.
    Start {
        /// Which.
        schedule_kind: ScheduleKind,
        /// The moment that the workflow waits for.
        moment: Timestamp,
    },
    /// Cancels the appointment.
    Cancel {
        /// Which.
        schedule_kind: ScheduleKind,
    },
}

impl ScheduleStep {
    /// Which appointment it changes.
    pub fn schedule_kind(&self) -> ScheduleKind {
        match *self {
            Self::Set { schedule_kind, .. }
            | Self::Start { schedule_kind, .. }
            | Self::Cancel { schedule_kind } => schedule_kind,
        }
    }
}

/// The appointments that `share` needs.
pub fn desired(desired: &DesiredState, now: Timestamp) -> Schedules {
    let is_active = desired.revocation_reason.is_none() && desired.all_targets().next().is_some();
    let ahead = |moment: Option<Timestamp>| moment.filter(|moment| is_active && *moment > now);
    Schedules { end: ahead(desired.until), warning: ahead(desired.warn_at) }
}

/// From when on the targets are warned; `None` when there is no end, or no warning is wanted.
pub fn warn_at(until: Option<Timestamp>, warning_days: u32) -> Option<Timestamp> {
    let notification = SignedDuration::from_hours(i64::from(warning_days) * 24);
    until?.checked_sub(notification).ok().filter(|_| warning_days > 0)
}

/// What must change so that `desired` are the appointments; `made` are those that were made before.
pub fn plan(made: &Schedules, desired: &Schedules, now: Timestamp) -> Vec<ScheduleStep> {
    let end = (ScheduleKind::End, made.end, desired.end);
    let warning = (ScheduleKind::Warning, made.warning, desired.warning);
    [end, warning].into_iter().filter(|(_, made, desired)| made != desired).map(step(now)).collect()
}

/// What stands in the ledger while `steps` are taken: nothing is known of what they change. A look that dies among
/// them is followed by one that takes them again, also when that one wants what was wanted before.
pub fn while_applying(steps: &[ScheduleStep], made: &Schedules) -> Schedules {
    let mut meanwhile = *made;
    for step in steps {
        match step.schedule_kind() {
            ScheduleKind::End => meanwhile.end = Some(UNKNOWN),
            ScheduleKind::Warning => meanwhile.warning = Some(UNKNOWN),
        }
    }
    meanwhile
}

fn step(now: Timestamp) -> impl Fn((ScheduleKind, Option<Timestamp>, Option<Timestamp>)) -> ScheduleStep {
    move |(schedule_kind, _, desired)| match desired {
        None => ScheduleStep::Cancel { schedule_kind },
        Some(moment) => match minute_of(moment) {
            minute if minute.as_second() - now.as_second() > NEAR_SECONDS => {
                ScheduleStep::Set { schedule_kind, minute, moment }
            }
            _ => ScheduleStep::Start { schedule_kind, moment },
        },
    }
}

/// The beginning of the minute in which a moment lies.
fn minute_of(moment: Timestamp) -> Timestamp {
    let rounding = jiff::TimestampRound::new().smallest(Unit::Minute).mode(jiff::RoundMode::Floor);
    moment.round(rounding).unwrap_or(moment)
}
