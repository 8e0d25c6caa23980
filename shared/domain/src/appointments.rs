//! When an image must be looked at again: at the end of its shares, and some days before it to warn.
//!
//! EventBridge Scheduler keeps the appointments. It fires once somewhere within the minute that it was told
//! (<https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>), so it is told the minute in
//! which the moment lies, and the workflow waits for the moment itself.

use jiff::{SignedDuration, Timestamp, Unit};
use serde::{Deserialize, Serialize};

use crate::share::Share;

/// What is nearer than this is not left to Scheduler: it takes no appointment that is past when it arrives.
const NEAR_SECONDS: i64 = 15;

/// Stands for an appointment of which nobody knows whether it was made, and for when. None is ever wanted for a
/// moment that is past, so whatever is wanted, it is to be set or cancelled.
const UNKNOWN: Timestamp = Timestamp::UNIX_EPOCH;

/// The two moments at which an image is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Appointments {
    /// When its shares end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end: Option<Timestamp>,
    /// When its targets are warned of that.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub warning: Option<Timestamp>,
}

/// Which appointment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occasion {
    /// The end of the shares.
    End,
    /// The warning before it.
    Warning,
}

impl Occasion {
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
pub enum AppointmentStep {
    /// Makes or moves the appointment.
    Set {
        /// Which.
        occasion: Occasion,
        /// The minute that Scheduler is told.
        minute: Timestamp,
        /// The moment that the workflow waits for.
        moment: Timestamp,
    },
    /// Starts the workflow at once, which waits: the moment is too near for Scheduler.
    Start {
        /// Which.
        occasion: Occasion,
        /// The moment that the workflow waits for.
        moment: Timestamp,
    },
    /// Cancels the appointment.
    Cancel {
        /// Which.
        occasion: Occasion,
    },
}

impl AppointmentStep {
    /// Which appointment it changes.
    pub fn occasion(&self) -> Occasion {
        match *self {
            Self::Set { occasion, .. } | Self::Start { occasion, .. } | Self::Cancel { occasion } => occasion,
        }
    }
}

/// The appointments that `share` needs.
pub fn wanted(share: &Share, now: Timestamp) -> Appointments {
    let is_live = share.ending.is_none() && share.wanted().next().is_some();
    let ahead = |moment: Option<Timestamp>| moment.filter(|moment| is_live && *moment > now);
    Appointments { end: ahead(share.until), warning: ahead(share.warn_at) }
}

/// From when on the targets are warned; `None` when there is no end, or no warning is wanted.
pub fn warn_at(until: Option<Timestamp>, notice_days: u32) -> Option<Timestamp> {
    let notice = SignedDuration::from_hours(i64::from(notice_days) * 24);
    until?.checked_sub(notice).ok().filter(|_| notice_days > 0)
}

/// What must change so that `wanted` are the appointments; `made` are those that were made before.
pub fn plan(made: &Appointments, wanted: &Appointments, now: Timestamp) -> Vec<AppointmentStep> {
    let end = (Occasion::End, made.end, wanted.end);
    let warning = (Occasion::Warning, made.warning, wanted.warning);
    [end, warning].into_iter().filter(|(_, made, wanted)| made != wanted).map(step(now)).collect()
}

/// What stands in the ledger while `steps` are taken: nothing is known of what they change. A look that dies among
/// them is followed by one that takes them again, also when that one wants what was wanted before.
pub fn while_taking(steps: &[AppointmentStep], made: &Appointments) -> Appointments {
    let mut meanwhile = *made;
    for step in steps {
        match step.occasion() {
            Occasion::End => meanwhile.end = Some(UNKNOWN),
            Occasion::Warning => meanwhile.warning = Some(UNKNOWN),
        }
    }
    meanwhile
}

fn step(now: Timestamp) -> impl Fn((Occasion, Option<Timestamp>, Option<Timestamp>)) -> AppointmentStep {
    move |(occasion, _, wanted)| match wanted {
        None => AppointmentStep::Cancel { occasion },
        Some(moment) => match minute_of(moment) {
            minute if minute.as_second() - now.as_second() > NEAR_SECONDS => {
                AppointmentStep::Set { occasion, minute, moment }
            }
            _ => AppointmentStep::Start { occasion, moment },
        },
    }
}

/// The beginning of the minute in which a moment lies.
fn minute_of(moment: Timestamp) -> Timestamp {
    let rounding = jiff::TimestampRound::new().smallest(Unit::Minute).mode(jiff::RoundMode::Floor);
    moment.round(rounding).unwrap_or(moment)
}
