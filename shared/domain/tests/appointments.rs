//! When an image is looked at again: at the end of its shares and some days before, never twice for one moment.

use ami_share_domain::appointments::{
    AppointmentStep, Appointments, Occasion, plan, wanted, warn_at, while_taking,
};
use ami_share_domain::ending::Ending;
use ami_share_domain::share::Share;
use ami_share_testkit::ids::{account, id, now};
use ami_share_testkit::shares::{account_target, share};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

/// A moment within some days of now, to the millisecond; many of them are very near.
fn moments() -> impl Strategy<Value = Timestamp> {
    let milliseconds = prop_oneof![-120_000..120_000_i64, -20 * 86_400_000..20 * 86_400_000_i64];
    milliseconds.prop_map(|milliseconds| now() + SignedDuration::from_millis(milliseconds))
}

fn appointments() -> impl Strategy<Value = Appointments> {
    (prop::option::of(moments()), prop::option::of(moments()))
        .prop_map(|(end, warning)| Appointments { end, warning })
}

/// A share of one account that ends then.
fn ending_at(until: Option<Timestamp>, notice_days: u32) -> Share {
    Share { until, warn_at: warn_at(until, notice_days), ..share(vec![account_target(account(1))]) }
}

proptest! {
    #[test]
    fn once_made_nothing_is_left_to_make(made in appointments(), until in prop::option::of(moments()), days in 0..9_u32) {
        let wanted = wanted(&ending_at(until, days), now());
        let mut after = made;
        for step in plan(&made, &wanted, now()) {
            let (occasion, moment) = match step {
                AppointmentStep::Set { occasion, moment, .. } | AppointmentStep::Start { occasion, moment } => {
                    (occasion, Some(moment))
                }
                AppointmentStep::Cancel { occasion } => (occasion, None),
            };
            match occasion {
                Occasion::End => after.end = moment,
                Occasion::Warning => after.warning = moment,
            }
        }
        prop_assert_eq!(after, wanted);
        prop_assert_eq!(plan(&after, &wanted, now()), []);
    }

    #[test]
    fn scheduler_is_told_a_whole_minute_ahead_that_is_never_after_the_moment_and_what_is_near_starts_at_once(
        until in moments(), days in 0..9_u32,
    ) {
        let wanted = wanted(&ending_at(Some(until), days), now());
        for step in plan(&Appointments::default(), &wanted, now()) {
            match step {
                AppointmentStep::Set { minute, moment, .. } => {
                    prop_assert_eq!(minute.as_second() % 60, 0);
                    prop_assert_eq!(minute.subsec_nanosecond(), 0);
                    prop_assert!(minute > now() && minute <= moment);
                    prop_assert!(moment.duration_since(minute) < SignedDuration::from_mins(1));
                }
                AppointmentStep::Start { moment, .. } => {
                    prop_assert!(moment > now());
                    prop_assert!(moment.duration_since(now()) < SignedDuration::from_secs(60 + 16));
                }
                AppointmentStep::Cancel { .. } => prop_assert!(false, "nothing was made"),
            }
        }
    }

    #[test]
    fn both_are_ahead_and_the_warning_comes_only_where_days_of_notice_are_set(
        until in prop::option::of(moments()), days in 0..9_u32,
    ) {
        let Appointments { end, warning } = wanted(&ending_at(until, days), now());
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
    fn what_shares_nothing_has_no_appointment(until in moments(), days in 0..9_u32) {
        let nobody = Share { targets: Vec::new(), ..ending_at(Some(until), days) };
        prop_assert_eq!(wanted(&nobody, now()), Appointments::default());
        let ended = Share { ending: Some(Ending::Untagged), ..ending_at(Some(until), days) };
        prop_assert_eq!(wanted(&ended, now()), Appointments::default());
    }
}

#[test]
fn who_only_keeps_what_they_have_loses_it_at_the_end_too() {
    let until = now() + SignedDuration::from_hours(1);
    let share = ending_at(Some(until), 0);
    let kept = Share { kept: share.targets.clone(), targets: Vec::new(), ..share };
    assert_eq!(wanted(&kept, now()).end, Some(until));
}

proptest! {
    #[test]
    fn what_a_look_was_about_to_change_when_it_died_is_set_or_cancelled_whatever_the_next_one_wants(
        made in appointments(), first in prop::option::of(moments()), next in prop::option::of(moments()), days in 0..9_u32,
    ) {
        let steps = plan(&made, &wanted(&ending_at(first, days), now()), now());
        let meanwhile = while_taking(&steps, &made);
        let ahead = |moment: Option<Timestamp>| moment.filter(|moment| *moment > now());
        let as_before = Appointments { end: ahead(made.end), warning: ahead(made.warning) };
        for wanted in [wanted(&ending_at(next, days), now()), as_before] {
            let taken: Vec<Occasion> = plan(&meanwhile, &wanted, now()).iter().map(AppointmentStep::occasion).collect();
            for step in &steps {
                prop_assert!(taken.contains(&step.occasion()), "{step:?} is not among {taken:?}");
            }
        }
    }
}

#[test]
fn an_end_that_moves_moves_its_appointment_and_one_that_goes_cancels_it() {
    let days = |days: i64| now() + SignedDuration::from_hours(24 * days);
    let made = wanted(&ending_at(Some(days(20)), 7), now());
    let later = wanted(&ending_at(Some(days(30)), 7), now());
    let set = |occasion, moment| AppointmentStep::Set { occasion, minute: moment, moment };
    assert_eq!(plan(&made, &later, now()), [set(Occasion::End, days(30)), set(Occasion::Warning, days(23))]);
    let sooner = wanted(&ending_at(Some(days(3)), 7), now());
    let warning = AppointmentStep::Cancel { occasion: Occasion::Warning };
    assert_eq!(plan(&made, &sooner, now()), [set(Occasion::End, days(3)), warning]);
    let none = wanted(&ending_at(None, 7), now());
    assert_eq!(plan(&made, &none, now()), [AppointmentStep::Cancel { occasion: Occasion::End }, warning]);
}

#[test]
fn the_minute_is_that_in_which_the_moment_lies() {
    let moment: Timestamp = id("2026-06-01T13:59:59.999Z");
    let made = plan(&Appointments::default(), &Appointments { end: Some(moment), warning: None }, now());
    let minute = id("2026-06-01T13:59:00Z");
    assert_eq!(made, [AppointmentStep::Set { occasion: Occasion::End, minute, moment }]);
}

#[test]
fn days_of_notice_beyond_all_measure_are_no_warning() {
    assert_eq!(warn_at(Some(now()), u32::MAX), None);
    assert_eq!(warn_at(Some(Timestamp::MIN), 1), None);
    assert_eq!(warn_at(None, 7), None);
}
