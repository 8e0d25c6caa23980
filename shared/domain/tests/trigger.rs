//! The time that a reconciliation takes for now.

use ami_share_domain::trigger::{Cause, Trigger, TriggeredBy};
use ami_share_testkit::ids::{id, now};

#[test]
fn the_scheduled_moment_counts_as_now_while_the_clock_is_behind() {
    let moment = id("2026-06-01T12:00:30Z");
    let trigger = Trigger {
        image: id("ami-0abcdef1234567890"),
        cause: Cause::Request,
        triggered_by: TriggeredBy { principal: None, event: String::new(), at: now() },
        dry_run: false,
        not_before: Some(moment),
        changed_by: None,
        adopt: false,
        organization_changed_at: None,
    };
    assert_eq!(trigger.now(now()), moment, "this machine's clock is behind");
    let later = id("2026-06-02T00:00:00Z");
    assert_eq!(trigger.now(later), later, "never earlier than it is");
    assert_eq!(Trigger { not_before: None, ..trigger }.now(now()), now());
}
