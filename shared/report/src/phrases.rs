//! The wording of numbers, times and ids on the page.

use std::borrow::Borrow;
use std::fmt::Display;

use ami_share_domain::ids::Arn;
use ami_share_domain::refusal::RefusalCode;
use ami_share_domain::review::report::{AccessReview, ReviewedImage, ReviewedKey, ReviewedShare};

/// The group that makes a launch permission or a snapshot permission public.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_LaunchPermission.html>
pub(crate) const GROUP_ALL: &str = "all";

/// Access that ends within this many seconds of the review ends soon: seven days.
pub(crate) const SOON: i64 = 7 * 24 * 60 * 60;

/// `2026-06-01T12:00:07.5Z` as `2026-06-01 12:00:07`; the page says once that times are UTC.
pub(crate) fn moment(at: &impl Display) -> String {
    let full = at.to_string();
    let seconds = full.split(['.', 'Z']).next().unwrap_or(&full);
    seconds.replace('T', " ")
}

/// `1 image`, `2 images`, `1,204 images`.
pub(crate) fn counted(number: impl Borrow<usize>, thing: &str) -> String {
    let plural = if *number.borrow() == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(number))
}

/// `32,768`.
pub(crate) fn grouped(number: impl Borrow<usize>) -> String {
    let digits = number.borrow().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How much of its size limit a policy uses, in percent; at most 100.
pub(crate) fn percent(key: &ReviewedKey) -> usize {
    (key.bytes * 100).checked_div(key.limit).unwrap_or(100).min(100)
}

/// The code of a refusal as events and metrics name it: `too-many-targets`.
pub(crate) fn code(code: &RefusalCode) -> String {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(code)) => code,
        _ => String::new(),
    }
}

/// An image's name, or its id when it has none.
pub(crate) fn name(image: &ReviewedImage) -> &str {
    if image.name.is_empty() { image.id.as_str() } else { &image.name }
}

/// The id at the end of an ARN; an id as it is.
pub(crate) fn short(grantee: &str) -> &str {
    Arn::parse(grantee).map_or(grantee, |arn| arn.last())
}

/// The kind of target that an id names.
pub(crate) fn kind(target: &str) -> &'static str {
    match short(target) {
        GROUP_ALL => "every AWS account",
        id if id.starts_with("ou-") => "OU",
        id if id.starts_with("o-") => "organization",
        id if id.starts_with("r-") => "root of the organization",
        _ => "account",
    }
}

/// The parts of an ARN; a line may break between them.
pub(crate) fn parts(arn: &str) -> impl Iterator<Item = &str> {
    arn.split_inclusive([':', '/'])
}

/// Whether a share has ended, or ends within [`SOON`] seconds of the review.
pub(crate) fn ends_soon(review: &AccessReview, share: &ReviewedShare) -> bool {
    let left = share.until.map(|until| until.as_second().saturating_sub(review.finished_at.as_second()));
    left.is_some_and(|left| left <= SOON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped_by_three_digits() {
        let grouped: Vec<String> = [0, 7, 999, 1_000, 32_768, 1_234_567].map(grouped).into();
        assert_eq!(grouped, ["0", "7", "999", "1,000", "32,768", "1,234,567"]);
    }

    #[test]
    fn a_time_is_shown_to_the_second() {
        assert_eq!(moment(&"2026-06-01T12:00:07.25Z"), "2026-06-01 12:00:07");
        assert_eq!(moment(&"2026-06-01T12:00:07Z"), "2026-06-01 12:00:07");
    }

    #[test]
    fn a_refusal_is_named_as_everywhere_else() {
        assert_eq!(code(&RefusalCode::TooManyTargets), "too-many-targets");
    }

    #[test]
    fn a_target_is_known_by_its_id_or_by_the_end_of_its_arn() {
        let arn = "arn:aws:organizations::111122223333:ou/o-a1b2c3d4e5/ou-ab12-cdef3456";
        assert_eq!((kind(arn), short(arn)), ("OU", "ou-ab12-cdef3456"));
        assert_eq!(kind("o-a1b2c3d4e5"), "organization");
        assert_eq!(kind("222222222222"), "account");
        assert_eq!(kind("all"), "every AWS account");
    }
}
