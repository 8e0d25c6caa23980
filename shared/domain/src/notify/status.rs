//! The words of `ami-share:status`: the truth about the last outcome, for a person, in 256 characters.

use jiff::Timestamp;

use crate::refusal::Refusal;
use crate::tags::share_tags::VALUE_LIMIT;
use crate::targets::revocation_reason::RevocationReason;
use crate::targets::target::Target;

/// Targets that are named before the others are only counted.
const NAMED: usize = 3;
/// How the status of an execution that failed begins.
const FAILED: &str = "failed: ";

/// What the status speaks of.
#[derive(Debug, Clone, Default)]
pub struct Summary<'a> {
    /// The targets that have access and should.
    pub shared: Vec<&'a Target>,
    /// Targets that keep what they have, but get nothing new.
    pub retained: Vec<&'a Target>,
    /// Whether the image or a snapshot of it is public, by somebody else's hand.
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
            parts.push("public by somebody else's hand".to_owned());
        }
        if !self.shared.is_empty() {
            parts.push(format!("shared with {}{until}", counts(&self.shared)));
        }
        if !self.retained.is_empty() {
            parts.push(format!("kept as it is{until}: {}", some_of(&self.retained)));
        }
        if let Some(revocation_reason) = self.revocation_reason {
            parts.push(format!("not shared: {revocation_reason}"));
        }
        let reasons = distinct_reasons(self.refused);
        if !reasons.is_empty() {
            parts.push(format!("refused: {}", reasons.join("; ")));
        }
        if parts.is_empty() {
            return "not shared: ami-share:with names nobody".to_owned();
        }
        shortened(&parts.join("; "))
    }
}

/// The status of an execution that failed; `cause` is what it died of.
pub fn failed(cause: &str) -> String {
    shortened(&format!("{FAILED}{cause}"))
}

/// Whether a status is that of an execution that failed.
pub fn is_of_failure(status: &str) -> bool {
    status.starts_with(FAILED)
}

/// A long list would leave no room for what was refused.
fn some_of(targets: &[&Target]) -> String {
    let names: Vec<&str> = targets.iter().map(|target| target.name()).collect();
    let (named, more) = names.split_at(names.len().min(NAMED));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    format!("{}{more}", named.join(", "))
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

/// One reason often stands for many words (a key, a limit); it is said once.
fn distinct_reasons(refused: &[Refusal]) -> Vec<&str> {
    let mut reasons: Vec<&str> = Vec::new();
    for refusal in refused {
        if !reasons.contains(&refusal.reason.as_str()) {
            reasons.push(&refusal.reason);
        }
    }
    reasons
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
    use crate::refusal::RefusalCode;

    fn account(id: &str) -> Target {
        Target::Account { id: id.parse().unwrap(), through: Vec::new() }
    }

    #[test]
    fn it_counts_what_is_shared_and_names_what_is_refused() {
        let (b, c) = (account("222222222222"), account("333333333333"));
        let refused = [Refusal::new(
            "999999999999",
            RefusalCode::ExternalNotAllowed,
            "999999999999 is not in this organization and not allowed",
        )];
        let summary = Summary { shared: vec![&b, &c], refused: &refused, ..Summary::default() };
        assert_eq!(
            summary.status(),
            "shared with 2 accounts; refused: 999999999999 is not in this organization and not allowed"
        );
    }

    #[test]
    fn one_reason_for_many_selectors_is_given_once() {
        let refused = ["222222222222", "333333333333"]
            .map(|selector| Refusal::new(selector, RefusalCode::UntaggedKey, "the key lacks its tag"));
        let summary = Summary { refused: &refused, ..Summary::default() };
        assert_eq!(summary.status(), "refused: the key lacks its tag");
    }

    #[test]
    fn it_never_exceeds_a_tags_256_characters() {
        let long = "ä".repeat(400);
        assert_eq!(failed(&long).chars().count(), 256);
        assert!(failed(&long).ends_with('…'));
    }
}
