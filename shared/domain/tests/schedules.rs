//! When an image is reconciled again: at the end of its shares and some days before, never twice for one moment.

use ami_share_domain::image::desired::DesiredState;
use ami_share_domain::image::schedule::{
    ScheduleKind, ScheduleStep, Schedules, desired, in_progress, plan, warn_at,
};
use ami_share_domain::targets::revocation_reason::RevocationReason;
use ami_share_testkit::ids::{account, id, now};
use ami_share_testkit::shares::{account_target, share};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

/// A moment within twenty days of now, to the millisecond. Many are within two minutes.
fn moments() -> impl Strategy<Value = Timestamp> {
    let milliseconds = prop_oneof![-120_000..120_000_i64, -20 * 86_400_000..20 * 86_400_000_i64];
    milliseconds.prop_map(|milliseconds| now() + SignedDuration::from_millis(milliseconds))
}

fn schedules() -> impl Strategy<Value = Schedules> {
    (prop::option::of(moments()), prop::option::of(moments()))
        .prop_map(|(end, warning)| Schedules { end, warning })
}

/// A share of one account that ends then.
fn ending_on(until: Option<Timestamp>, warning_days: u32) -> DesiredState {
    DesiredState {
        until,
        warn_at: warn_at(until, warning_days),
        ..share(vec![account_target(account(1))]).desired
    }
}

proptest! {
    #[test]
    fn a_plan_that_was_applied_leaves_no_schedule_step(made in schedules(), until in prop::option::of(moments()), days in 0..9_u32) {
        let desired = desired(&ending_on(until, days), now());
        let mut after = made;
        for step in plan(&made, &desired, now()) {
            let (kind, moment) = match step {
                ScheduleStep::Set { kind, moment, .. } | ScheduleStep::Start { kind, moment } => {
                    (kind, Some(moment))
                }
                ScheduleStep::Cancel { kind } => (kind, None),
            };
            match kind {
                ScheduleKind::End => after.end = moment,
                ScheduleKind::Warning => after.warning = moment,
            }
        }
        prop_assert_eq!(after, desired);
        prop_assert_eq!(plan(&after, &desired, now()), []);
    }

    #[test]
    fn schedules_use_a_future_whole_minute_not_after_the_time_and_near_times_start_at_once(
        until in moments(), days in 0..9_u32,
    ) {
        let desired = desired(&ending_on(Some(until), days), now());
        for step in plan(&Schedules::default(), &desired, now()) {
            match step {
                ScheduleStep::Set { minute, moment, .. } => {
                    prop_assert_eq!(minute.as_second() % 60, 0);
                    prop_assert_eq!(minute.subsec_nanosecond(), 0);
                    prop_assert!(minute > now() && minute <= moment);
                    prop_assert!(moment.duration_since(minute) < SignedDuration::from_mins(1));
                }
                ScheduleStep::Start { moment, .. } => {
                    prop_assert!(moment > now());
                    prop_assert!(moment.duration_since(now()) < SignedDuration::from_secs(60 + 16));
                }
                ScheduleStep::Cancel { .. } => prop_assert!(false, "there was no schedule to delete"),
            }
        }
    }

    #[test]
    fn expiry_and_warning_lie_in_the_future_and_the_warning_needs_days(
        until in prop::option::of(moments()), days in 0..9_u32,
    ) {
        let Schedules { end, warning } = desired(&ending_on(until, days), now());
        prop_assert_eq!(end, until.filter(|until| *until > now()));
        prop_assert!(days > 0 || warning.is_none());
        if let Some(warning) = warning {
            let until = until.unwrap();
            prop_assert!(warning > now());
            prop_assert_eq!(until.duration_since(warning), SignedDuration::from_hours(24 * i64::from(days)));
        }
        let is_far = until.is_some_and(|until| until > now() + SignedDuration::from_hours(24 * i64::from(days)));
        prop_assert_eq!(warning.is_some(), is_far && days > 0);
    }

    #[test]
    fn a_share_without_targets_has_no_schedule(until in moments(), days in 0..9_u32) {
        let without_targets = DesiredState { targets: Vec::new(), ..ending_on(Some(until), days) };
        prop_assert_eq!(desired(&without_targets, now()), Schedules::default());
        let ended = DesiredState { revocation_reason: Some(RevocationReason::Untagged), ..ending_on(Some(until), days) };
        prop_assert_eq!(desired(&ended, now()), Schedules::default());
    }
}

#[test]
fn retained_targets_also_lose_access_at_expiry() {
    let until = now() + SignedDuration::from_hours(1);
    let mut retained = ending_on(Some(until), 0);
    std::mem::swap(&mut retained.targets, &mut retained.retained);
    assert_eq!(desired(&retained, now()).end, Some(until));
}

proptest! {
    #[test]
    fn a_schedule_whose_change_was_interrupted_is_set_or_cancelled_whatever_is_desired_next(
        made in schedules(), first in prop::option::of(moments()), next in prop::option::of(moments()), days in 0..9_u32,
    ) {
        let steps = plan(&made, &desired(&ending_on(first, days), now()), now());
        let meanwhile = in_progress(&steps, &made);
        let ahead = |moment: Option<Timestamp>| moment.filter(|moment| *moment > now());
        let as_before = Schedules { end: ahead(made.end), warning: ahead(made.warning) };
        for desired in [desired(&ending_on(next, days), now()), as_before] {
            let changed: Vec<ScheduleKind> = plan(&meanwhile, &desired, now()).iter().map(ScheduleStep::kind).collect();
            for step in &steps {
                prop_assert!(changed.contains(&step.kind()), "{step:?} is not among {changed:?}");
            }
        }
    }
}

#[test]
fn a_changed_expiry_moves_its_schedule_and_a_removed_expiry_cancels_it() {
    let days = |days: i64| now() + SignedDuration::from_hours(24 * days);
    let made = desired(&ending_on(Some(days(20)), 7), now());
    let later = desired(&ending_on(Some(days(30)), 7), now());
    let set = |kind, moment| ScheduleStep::Set { kind, minute: moment, moment };
    assert_eq!(
        plan(&made, &later, now()),
        [set(ScheduleKind::End, days(30)), set(ScheduleKind::Warning, days(23))]
    );
    let sooner = desired(&ending_on(Some(days(3)), 7), now());
    let warning = ScheduleStep::Cancel { kind: ScheduleKind::Warning };
    assert_eq!(plan(&made, &sooner, now()), [set(ScheduleKind::End, days(3)), warning]);
    let none = desired(&ending_on(None, 7), now());
    assert_eq!(plan(&made, &none, now()), [ScheduleStep::Cancel { kind: ScheduleKind::End }, warning]);
}

#[test]
fn a_schedule_uses_the_minute_that_contains_its_time() {
    let moment: Timestamp = id("2026-06-01T13:59:59.999Z");
    let made = plan(&Schedules::default(), &Schedules { end: Some(moment), warning: None }, now());
    let minute = id("2026-06-01T13:59:00Z");
    assert_eq!(made, [ScheduleStep::Set { kind: ScheduleKind::End, minute, moment }]);
}

#[test]
fn out_of_range_days_give_no_warning() {
    assert_eq!(warn_at(Some(now()), u32::MAX), None);
    assert_eq!(warn_at(Some(Timestamp::MIN), 1), None);
    assert_eq!(warn_at(None, 7), None);
}
