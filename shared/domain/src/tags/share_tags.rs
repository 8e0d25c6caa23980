//! The tags of an image as the interface: which selectors, until when, with copying or not.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;

use crate::refusal::{Refusal, RefusalReason};
use crate::tags::selector::Selector;

/// The tag that names who gets the image; `ami-share:with:2` to `:9` continue it.
pub const WITH: &str = "ami-share:with";
/// The tag that says when access ends.
pub const UNTIL: &str = "ami-share:until";
/// The tag that grants the snapshots, too.
pub const COPY: &str = "ami-share:copy";
/// The tag that asks for copies in other Regions.
pub const REGIONS: &str = "ami-share:regions";
/// The tag that ami-share writes.
pub const STATUS: &str = "ami-share:status";
/// The tag that a KMS key must carry, with the value `true`, before ami-share changes its policy.
pub const MANAGED: &str = "ami-share:managed";
/// What all tags of ami-share start with.
pub const PREFIX: &str = "ami-share:";

/// Characters (not bytes) in a tag's value. Source:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>
pub const VALUE_LIMIT: usize = 256;
/// The last second that a [`Timestamp`] can have, and its day.
const LAST: Timestamp = Timestamp::constant(253_402_207_200, 0);
const LAST_DATE: Date = Date::constant(9999, 12, 30);
/// `ami-share:with` and its continuations.
const WITH_TAGS: usize = 9;

/// When access ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// No `ami-share:until`: access stays until the tag goes.
    Open,
    /// At this moment.
    At(Timestamp),
    /// The tag cannot be parsed; a refusal says so. Nothing new is shared, and existing access is retained until the last
    /// end that could be parsed.
    Unreadable,
}

/// Whether targets may copy the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copying {
    /// No `ami-share:copy`: targets may launch only.
    No,
    /// `allowed`.
    Allowed,
    /// The tag cannot be understood; a refusal says so. No snapshot is newly granted, and existing access is retained.
    Unreadable,
}

/// What an image's tags ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareTags {
    /// The selectors that were parsed; a repeated one counts once.
    pub selectors: BTreeSet<Selector>,
    /// When access ends.
    pub until: Until,
    /// Whether targets may copy the image.
    pub copy: Copying,
    /// The tags and selectors that were not understood.
    pub refused: Vec<Refusal>,
}

/// Whether an image carries any tag of ami-share besides the one that ami-share writes.
pub fn is_tagged(tags: &BTreeMap<String, String>) -> bool {
    tags.keys().any(|tag| tag.starts_with(PREFIX) && tag != STATUS)
}

/// More selectors than nine tags of 256 characters hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` does not fit: ami-share:with to ami-share:with:9 are full; name an OU or a tag: selector instead"
)]
pub struct NoRoom {
    /// The first selector that found no place.
    pub text: String,
}

impl ShareTags {
    /// Reads an image's tags; what is not understood is refused and the rest goes ahead.
    pub fn read(tags: &BTreeMap<String, String>) -> Self {
        let mut read =
            Self { selectors: BTreeSet::new(), until: Until::Open, copy: Copying::No, refused: Vec::new() };
        for (tag, value) in tags.iter().filter(|(tag, _)| tag.starts_with(PREFIX)) {
            match tag.as_str() {
                UNTIL => read.read_until(value),
                COPY => read.read_copy(value),
                STATUS => {}
                REGIONS => read.refuse(REGIONS, RefusalReason::RegionsUnsupported),
                tag if is_with(tag) => read.read_selectors(value),
                tag => read.refuse(tag, RefusalReason::UnknownTag),
            }
        }
        read
    }

    fn read_selectors(&mut self, value: &str) {
        for text in value.split(|c: char| c == ',' || c.is_whitespace()).filter(|text| !text.is_empty()) {
            match text.parse() {
                Ok(selector) => {
                    self.selectors.insert(selector);
                }
                Err(reason) if self.refused.contains(&Refusal::new(text, reason.clone())) => {}
                Err(reason) => self.refuse(text, reason),
            }
        }
    }

    fn refuse(&mut self, subject: &str, reason: RefusalReason) {
        self.refused.push(Refusal::new(subject, reason));
    }

    fn read_until(&mut self, value: &str) {
        self.until = match parse_until(value.trim()) {
            Some(moment) => Until::At(moment),
            None => {
                self.refuse(UNTIL, RefusalReason::UnreadableUntil { value: value.to_owned() });
                Until::Unreadable
            }
        };
    }

    fn read_copy(&mut self, value: &str) {
        self.copy = match value.trim() {
            "allowed" => Copying::Allowed,
            _ => {
                self.refuse(COPY, RefusalReason::UnknownCopyValue { value: value.to_owned() });
                Copying::Unreadable
            }
        };
    }

    /// Renders the understood part as tags; reading those gives the same again.
    ///
    /// # Errors
    /// [`NoRoom`] when the selectors need more than nine tags.
    pub fn write(&self) -> Result<BTreeMap<String, String>, NoRoom> {
        let mut tags = BTreeMap::new();
        let mut values: Vec<String> = Vec::new();
        for text in self.selectors.iter().map(Selector::to_string) {
            place(&mut values, text)?;
        }
        for (position, value) in values.into_iter().enumerate() {
            let tag = if position == 0 { WITH.to_owned() } else { format!("{WITH}:{}", position + 1) };
            tags.insert(tag, value);
        }
        if let Until::At(moment) = self.until {
            tags.insert(UNTIL.to_owned(), moment.to_string());
        }
        if self.copy == Copying::Allowed {
            tags.insert(COPY.to_owned(), "allowed".to_owned());
        }
        Ok(tags)
    }
}

fn place(values: &mut Vec<String>, text: String) -> Result<(), NoRoom> {
    let length = text.chars().count();
    if let Some(last) = values.last_mut()
        && last.chars().count() + 1 + length <= VALUE_LIMIT
    {
        last.push(' ');
        last.push_str(&text);
        return Ok(());
    }
    if values.len() == WITH_TAGS || length > VALUE_LIMIT {
        return Err(NoRoom { text });
    }
    values.push(text);
    Ok(())
}

fn is_with(tag: &str) -> bool {
    match tag.strip_prefix(WITH) {
        Some("") => true,
        Some(rest) => matches!(rest.as_bytes(), [b':', b'2'..=b'9']),
        None => false,
    }
}

/// A bare date means the last second of that day in UTC. A moment after the last one that can be represented, such as the
/// end of 9999-12-31, means that last one.
fn parse_until(value: &str) -> Option<Timestamp> {
    if let Ok(moment) = value.parse::<Timestamp>() {
        return Some(moment);
    }
    // A date alone, not a time without its zone, whose meaning would be a guess.
    if let Ok(date) = Date::strptime("%Y-%m-%d", value) {
        return Some(date.at(23, 59, 59, 0).to_zoned(TimeZone::UTC).map_or(LAST, |end| end.timestamp()));
    }
    let pieces = Pieces::parse(value).ok()?;
    let is_complete = pieces.time().is_some() && pieces.offset().is_some();
    (is_complete && pieces.date() >= LAST_DATE).then_some(LAST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::RefusalCode;

    fn read(tags: &[(&str, &str)]) -> ShareTags {
        ShareTags::read(&tags.iter().map(|(tag, value)| ((*tag).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn selectors_are_separated_by_spaces_or_commas_and_continue_over_nine_tags() {
        let tags = read(&[
            ("ami-share:with", "222222222222, ou-ab12-cdef3456,org"),
            ("ami-share:with:2", "r-ab12  tag:Env=prod"),
            ("ami-share:with:9", "o-a1b2c3d4e5 222222222222"),
            ("Name", "golden"),
        ]);
        let texts: Vec<String> = tags.selectors.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            ["222222222222", "ou-ab12-cdef3456", "r-ab12", "org", "o-a1b2c3d4e5", "tag:Env=prod"]
        );
        assert_eq!(tags.refused, []);
    }

    #[test]
    fn a_malformed_selector_is_refused_and_the_others_go_ahead() {
        let tags = read(&[("ami-share:with", "12345 222222222222 all ou-x tag:=x")]);
        assert_eq!(tags.selectors.len(), 1);
        let codes: Vec<_> =
            tags.refused.iter().map(|refusal| (refusal.subject.as_str(), refusal.code())).collect();
        assert_eq!(
            codes,
            [
                ("12345", RefusalCode::MalformedSelector),
                ("all", RefusalCode::Public),
                ("ou-x", RefusalCode::MalformedSelector),
                ("tag:=x", RefusalCode::MalformedSelector),
            ]
        );
    }

    #[test]
    fn a_bare_date_means_the_end_of_that_day() {
        let end = |value| match read(&[("ami-share:until", value)]).until {
            Until::At(moment) => moment.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(end("2026-12-31"), "2026-12-31T23:59:59Z");
        assert_eq!(end("2026-12-31T18:00:00+02:00"), "2026-12-31T16:00:00Z");
        for far in ["9999-12-30", "9999-12-31", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-08:00"] {
            assert_eq!(end(far), "9999-12-30T22:00:00Z", "{far}");
        }
        assert_eq!(end("9999-12-29"), "9999-12-29T23:59:59Z");
        for unreadable in [
            "9999-12-31T23:59",
            "9999-13-01",
            "10000-01-01",
            "31.12.2026",
            "tomorrow",
            "",
            "2026-13-01",
            "2026-12-31T18:00",
        ] {
            assert_eq!(end(unreadable), "Unreadable", "{unreadable}");
        }
    }

    #[test]
    fn a_misspelt_ami_share_tag_is_reported() {
        let tags = read(&[
            ("ami-share:untill", "2026-12-31"),
            ("ami-share:with:10", "org"),
            ("ami-share:copy", "yes"),
        ]);
        assert_eq!(tags.refused.len(), 3);
        assert_eq!(tags.copy, Copying::Unreadable);
        assert!(tags.selectors.is_empty());
    }
}
