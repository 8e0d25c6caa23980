//! The time that a reconciliation takes for now, and the reads that are older than its trigger.

use std::collections::BTreeMap;

use ami_share_domain::trigger::{Cause, Described, Trigger, TriggeredBy};
use ami_share_testkit::ids::{id, now};
use jiff::{SignedDuration, Timestamp};

#[test]
fn the_scheduled_moment_counts_as_now_while_the_clock_is_behind() {
    let moment = id("2026-06-01T12:00:30Z");
    let trigger = Trigger { not_before: Some(moment), ..trigger(Cause::Request) };
    assert_eq!(trigger.now(now()), moment, "this machine's clock is behind");
    let later = id("2026-06-02T00:00:00Z");
    assert_eq!(trigger.now(later), later, "never earlier than it is");
    assert_eq!(Trigger { not_before: None, ..trigger }.now(now()), now());
}

fn trigger(cause: Cause) -> Trigger {
    Trigger {
        image: id("ami-0abcdef1234567890"),
        cause,
        triggered_by: TriggeredBy { principal: None, event: String::new(), at: now() },
        dry_run: false,
        not_before: None,
        changed_by: None,
        adopt: false,
        organization_changed_at: None,
    }
}

fn seconds_later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn tags(with: &str) -> BTreeMap<String, String> {
    let status = format!("a status that says {with}");
    let tags = [("ami-share:with", with), ("ami-share:status", &status), ("Name", with)];
    tags.map(|(tag, value)| (tag.to_owned(), value.to_owned())).into()
}

/// Whether a read of this state is believed so many seconds after the event that reported another.
fn is_believed(reported: &str, shown: Option<&str>, seconds: i64) -> bool {
    let trigger = trigger(Cause::ImageState { state: reported.to_owned() });
    let described = Described { state: shown, tags: &tags("org"), known_version: None };
    trigger.contradiction(described, seconds_later(seconds)).is_none()
}

#[test]
fn a_read_of_an_earlier_state_than_the_event_reported_is_not_believed_until_it_must_be_later() {
    let earlier = [
        ("available", None),
        ("deregistered", Some("available")),
        ("deregistered", Some("disabled")),
        ("disabled", Some("available")),
        ("available", Some("disabled")),
    ];
    for (reported, shown) in earlier {
        assert!(!is_believed(reported, shown, 1), "{reported} {shown:?}");
        assert!(is_believed(reported, shown, 60), "{reported} {shown:?}");
    }
    let same = [
        ("available", Some("available")),
        ("deregistered", None),
        ("disabled", Some("disabled")),
        ("failed", Some("failed")),
        ("failed", None),
        ("", Some("available")),
    ];
    for (reported, shown) in same {
        assert!(is_believed(reported, shown, 1), "{reported} {shown:?}");
    }
}

#[test]
fn an_image_is_never_left_pending_after_another_state() {
    for reported in ["available", "failed", "deregistered", "disabled"] {
        assert!(!is_believed(reported, Some("pending"), 1) && !is_believed(reported, Some("pending"), 3_600));
    }
}

#[test]
fn a_read_of_other_tags_than_the_event_has_is_not_believed_unless_they_are_later() {
    let event = |version| trigger(Cause::TagsChanged { tags: tags("org"), version });
    let contradicts = |version, with: &str, known_version, seconds| {
        let described = Described { state: Some("available"), tags: &tags(with), known_version };
        event(version).contradiction(described, seconds_later(seconds)).is_some()
    };
    assert!(contradicts(Some(5), "222222222222", None, 1));
    assert!(contradicts(Some(5), "222222222222", Some(4), 1));
    assert!(contradicts(None, "222222222222", Some(9), 1));
    assert!(!contradicts(Some(5), "222222222222", Some(6), 1), "a later change is known");
    assert!(!contradicts(Some(5), "222222222222", Some(5), 1), "the event came twice");
    assert!(!contradicts(Some(5), "222222222222", None, 60), "the read is later than the event");
    assert!(!contradicts(Some(5), "org", None, 1));
    // The tag that ami-share writes, and those of others, say nothing.
    let mut read = tags("org");
    read.insert("ami-share:status".to_owned(), "other".to_owned());
    read.remove("Name");
    let described = Described { state: Some("available"), tags: &read, known_version: None };
    assert_eq!(event(Some(5)).contradiction(described, seconds_later(1)), None);
    assert_eq!(trigger(Cause::Request).contradiction(described, now()), None);
}
