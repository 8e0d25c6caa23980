//! The value of `ami-share:status`: the last outcome, for a person, in 256 characters.

use jiff::Timestamp;

use crate::listing::some_of;
use crate::refusal::{Refusal, RefusalReason};
use crate::tags::share_tags::VALUE_LIMIT;
use crate::targets::revocation_reason::RevocationReason;
use crate::targets::target::Target;

/// Names that a status lists before it only counts the others.
const NAMED: usize = 3;
/// How the status of an execution that failed begins.
const FAILED: &str = "failed: ";

/// What the status speaks of.
#[derive(Debug, Clone, Default)]
pub struct Summary<'a> {
    /// The targets that have access and should.
    pub shared: Vec<&'a Target>,
    /// Targets that retain the access they have and get nothing new.
    pub retained: Vec<&'a Target>,
    /// Whether the image or a snapshot of it is public. ami-share never makes it so.
    pub is_public: bool,
    /// Why nothing is shared any more.
    pub revocation_reason: Option<&'a RevocationReason>,
    /// What was refused.
    pub refused: &'a [Refusal],
    /// When access ends.
    pub until: Option<Timestamp>,
}

impl Summary<'_> {
    /// The tag's value.
    pub fn status(&self) -> String {
        let mut parts = Vec::new();
        let until = self.until.map(|until| format!(" until {}", until.strftime("%Y-%m-%d %H:%M UTC")));
        let until = until.unwrap_or_default();
        if self.is_public {
            parts.push("public (not by ami-share)".to_owned());
        }
        if !self.shared.is_empty() {
            parts.push(format!("shared with {}{until}", counts(&self.shared)));
        }
        if !self.retained.is_empty() {
            parts.push(format!(
                "retained{until}: {}",
                some_of(self.retained.iter().map(|target| target.name()), NAMED)
            ));
        }
        if let Some(revocation_reason) = self.revocation_reason {
            parts.push(format!("not shared: {revocation_reason}"));
        }
        if !self.refused.is_empty() {
            parts.push(format!("refused: {}", grouped(self.refused).join("; ")));
        }
        if parts.is_empty() {
            return "not shared: ami-share:with names no target".to_owned();
        }
        shortened(&parts.join("; "))
    }
}

/// The status of an execution that failed because of `cause`.
pub fn failed(cause: &str) -> String {
    shortened(&format!("{FAILED}{cause}"))
}

/// Whether a status is that of an execution that failed.
pub fn is_of_failure(status: &str) -> bool {
    status.starts_with(FAILED)
}

fn counts(targets: &[&Target]) -> String {
    let count = |is_kind: fn(&Target) -> bool| targets.iter().filter(|target| is_kind(target)).count();
    let kinds = [
        (count(|target| matches!(target, Target::Organization { .. })), "organization"),
        (count(|target| matches!(target, Target::Account { .. })), "account"),
        (count(|target| matches!(target, Target::Ou { .. })), "OU"),
    ];
    let counted = kinds.iter().filter(|(count, _)| *count > 0);
    let counted: Vec<String> = counted
        .map(|(count, kind)| format!("{count} {kind}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    counted.join(", ")
}

/// One sentence for each reason: one reason often refuses many subjects (a key, a limit).
fn grouped(refused: &[Refusal]) -> Vec<String> {
    let mut groups: Vec<(&RefusalReason, Vec<&str>)> = Vec::new();
    for Refusal { subject, reason } in refused {
        match groups.iter_mut().find(|(grouped, _)| *grouped == reason) {
            Some((_, subjects)) if subjects.contains(&subject.as_str()) => {}
            Some((_, subjects)) => subjects.push(subject),
            None => groups.push((reason, vec![subject])),
        }
    }
    let sentence = |(reason, subjects): (&RefusalReason, Vec<&str>)| match subjects.as_slice() {
        [only] => Refusal::new(*only, reason.clone()).to_string(),
        several => Refusal::new(some_of(several, NAMED), reason.clone()).to_string(),
    };
    groups.into_iter().map(sentence).collect()
}

fn shortened(text: &str) -> String {
    let one_line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if one_line.chars().count() <= VALUE_LIMIT {
        return one_line;
    }
    let retained: String = one_line.chars().take(VALUE_LIMIT - 1).collect();
    format!("{}…", retained.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: &str) -> Target {
        Target::Account { id: id.parse().unwrap(), through: Vec::new() }
    }

    #[test]
    fn it_counts_what_is_shared_and_names_what_is_refused() {
        let (b, c) = (account("222222222222"), account("333333333333"));
        let refused = [Refusal::new("999999999999", RefusalReason::ClosedAccount)];
        let summary = Summary { shared: vec![&b, &c], refused: &refused, ..Summary::default() };
        assert_eq!(
            summary.status(),
            "shared with 2 accounts; refused: 999999999999: the account is closed or suspended; remove it from the tag"
        );
    }

    #[test]
    fn one_reason_for_many_selectors_is_given_once() {
        let refused: Vec<Refusal> = (1..=5)
            .map(|number| Refusal::new(format!("{number:012}"), RefusalReason::ClosedAccount))
            .collect();
        let summary = Summary { refused: &refused, ..Summary::default() };
        assert_eq!(
            summary.status(),
            "refused: 000000000001, 000000000002, 000000000003 and 2 more: the account is closed or suspended; remove it from the tag"
        );
    }

    #[test]
    fn it_never_exceeds_a_tags_256_characters() {
        let long = "ä".repeat(400);
        assert_eq!(failed(&long).chars().count(), 256);
        assert!(failed(&long).ends_with('…'));
    }
}
