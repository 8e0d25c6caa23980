//! What users see and type: tags, events, statuses, refusals, actions of the audit log.

use std::collections::BTreeSet;

use ami_share_domain::audit_log::AuditAction;
use ami_share_domain::image::ledger::ShareOutcome;
use ami_share_domain::notify::notification::NotificationKind;
use ami_share_domain::refusal::RefusalCode;
use ami_share_domain::tags::share_tags::{COPY, MANAGED, PREFIX, REGIONS, STATUS, UNTIL, WITH};
use serde::Serialize;
use strum::IntoEnumIterator;

use crate::files::{source_of_functions, text};
use crate::markdown::{code, rows};

/// The names in the first column of a table.
fn first_column(page: &str, heading: &str) -> BTreeSet<String> {
    rows(&text(page), heading).iter().flat_map(|row| code(&row[0])).collect()
}

/// An enum's names, which strum and serde write alike.
fn names<E>() -> BTreeSet<String>
where
    E: IntoEnumIterator + Serialize + Copy + Into<&'static str>,
{
    let name = |case: E| {
        let name: &'static str = case.into();
        assert_eq!(serde_json::to_value(case).unwrap(), name);
        name.to_owned()
    };
    E::iter().map(name).collect()
}

#[test]
fn the_readme_names_the_tags_that_there_are() {
    let readme = text("README.md");
    let named = readme.split(PREFIX).skip(1).map(|rest| {
        let name: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
        format!("{PREFIX}{name}")
    });
    let mut named: BTreeSet<String> = named.collect();
    named.remove(PREFIX);
    assert_eq!(named, [WITH, UNTIL, COPY, REGIONS, STATUS, MANAGED].map(str::to_owned).into());
}

#[test]
fn the_page_on_notifications_names_the_events_that_are_sent() {
    let sent: BTreeSet<String> = NotificationKind::iter().map(|kind| kind.detail_type().to_owned()).collect();
    assert_eq!(first_column("docs/notifications.md", "## Events"), sent);
    let readme = code(&text("README.md")).into_iter().filter(|code| code.starts_with("AMI "));
    assert_eq!(readme.collect::<BTreeSet<_>>(), sent);
}

#[test]
fn the_page_on_the_ledger_explains_every_action_of_the_audit_log() {
    assert_eq!(first_column("docs/ledger.md", "## Audit log"), names::<AuditAction>());
}

#[test]
fn the_page_on_the_ledger_names_every_outcome_of_a_share() {
    let rows = rows(&text("docs/ledger.md"), "## Rows");
    let row = rows.iter().find(|row| row[1].starts_with("`SHARE#`")).unwrap();
    let (_, outcomes) = row[2].split_once("`outcome` (").unwrap();
    let (outcomes, _) = outcomes.split_once(')').unwrap();
    assert_eq!(code(outcomes).into_iter().collect::<BTreeSet<_>>(), names::<ShareOutcome>());
}

/// Every code of a refusal is explained: the table is generated, and its names are those that serde writes.
#[test]
fn the_page_on_troubleshooting_explains_every_kind_of_refusal() {
    assert_eq!(first_column("docs/troubleshooting.md", "## Refusals"), names::<RefusalCode>());
}

/// The pieces of a text without what differs from case to case, which stands between `<` and `>`.
fn fixed_pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split(['<', '>']).step_by(2)
}

#[test]
fn every_status_in_the_page_on_troubleshooting_is_one_that_the_code_writes() {
    let code = source_of_functions();
    let statuses = rows(&text("docs/troubleshooting.md"), "## Statuses");
    let (refused, statuses) = statuses.split_last().unwrap();
    assert_eq!(refused[0], "`refused: <reason>`", "the last row leads to the refusals");
    for status in statuses.iter().map(|row| row[0].trim_matches(['`', ' '])) {
        for piece in fixed_pieces(status.trim_start_matches("not shared: ")) {
            assert!(code.contains(piece), "`{piece}` of `{status}` is in no source");
        }
    }
}
