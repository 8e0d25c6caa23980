//! Which accounts still use an image: what an image usage report says, as people read it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::AccountId;

/// Accounts that [`sentence`] names one by one. It is part of notifications, which people read; EC2's report has the rest.
const NAMED: usize = 20;

/// How many resources of one type refer to an image in one account. EC2 counts with a delay: instances of the
/// last 24 hours, and launch templates of the last few days, may be missing.
/// Source: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/your-ec2-ami-usage.html>
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Usage {
    /// The account.
    pub account: AccountId,
    /// `ec2:Instance` or `ec2:LaunchTemplate`; a launch template counts once, however many of its versions
    /// name the image.
    pub resource_type: String,
    /// How many resources of the type.
    pub count: u64,
}

/// The report that ami-share asked EC2 for, on accounts that lose an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageQuestion {
    /// AWS's id of the report that answers.
    pub report_id: String,
    /// The accounts.
    pub accounts: Vec<AccountId>,
}

/// `still used by 222222222222 (2 instances, 1 launch template)`, or `no longer used`.
/// A count of zero counts for nothing; the entries of one account and type are added up.
pub fn sentence(usages: &[Usage]) -> String {
    let accounts = by_account(usages);
    if accounts.is_empty() {
        return "no longer used".to_owned();
    }
    let named =
        accounts.iter().take(NAMED).map(|(account, counts)| format!("{account} ({})", listed(counts)));
    let mut parts: Vec<String> = named.collect();
    match accounts.len().saturating_sub(NAMED) {
        0 => {}
        1 => parts.push("1 more account".to_owned()),
        more => parts.push(format!("{more} more accounts")),
    }
    let last = parts.pop().unwrap_or_default();
    if parts.is_empty() {
        return format!("still used by {last}");
    }
    format!("still used by {} and {last}", parts.join(", "))
}

/// Each account with the count of each type of resource, in order.
fn by_account(usages: &[Usage]) -> BTreeMap<&AccountId, BTreeMap<&str, u64>> {
    let mut accounts = BTreeMap::<&AccountId, BTreeMap<&str, u64>>::new();
    for Usage { account, resource_type, count } in usages.iter().filter(|usage| usage.count > 0) {
        let sum = accounts.entry(account).or_default().entry(resource_type).or_default();
        *sum = sum.saturating_add(*count);
    }
    accounts
}

fn listed(counts: &BTreeMap<&str, u64>) -> String {
    let counts = counts.iter().map(|(resource_type, count)| match (*resource_type, *count) {
        ("ec2:Instance", 1) => "1 instance".to_owned(),
        ("ec2:Instance", count) => format!("{count} instances"),
        ("ec2:LaunchTemplate", 1) => "1 launch template".to_owned(),
        ("ec2:LaunchTemplate", count) => format!("{count} launch templates"),
        // AWS adds types; then people read its own name of it.
        (other, count) => format!("{count} {other}"),
    });
    counts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(account: &str, resource_type: &str, count: u64) -> Usage {
        Usage { account: account.parse().unwrap(), resource_type: resource_type.to_owned(), count }
    }

    #[test]
    fn each_account_is_named_with_what_it_still_has() {
        let usages = [
            usage("333333333333", "ec2:LaunchTemplate", 3),
            usage("222222222222", "ec2:LaunchTemplate", 1),
            usage("222222222222", "ec2:Instance", 2),
            usage("444444444444", "ec2:Instance", 1),
        ];
        assert_eq!(sentence(&usages[1..3]), "still used by 222222222222 (2 instances, 1 launch template)");
        assert_eq!(
            sentence(&usages),
            "still used by 222222222222 (2 instances, 1 launch template), 333333333333 (3 launch templates) \
             and 444444444444 (1 instance)"
        );
    }

    #[test]
    fn nothing_and_a_count_of_zero_are_no_use() {
        assert_eq!(sentence(&[]), "no longer used");
        assert_eq!(sentence(&[usage("222222222222", "ec2:Instance", 0)]), "no longer used");
    }

    #[test]
    fn the_entries_of_one_account_and_type_are_added_up() {
        let twice = [usage("222222222222", "ec2:Instance", 1), usage("222222222222", "ec2:Instance", 2)];
        assert_eq!(sentence(&twice), "still used by 222222222222 (3 instances)");
    }

    #[test]
    fn an_unknown_resource_type_keeps_the_name_that_aws_gives_it() {
        let recipe = [usage("222222222222", "imagebuilder:ImageRecipe", 1)];
        assert_eq!(sentence(&recipe), "still used by 222222222222 (1 imagebuilder:ImageRecipe)");
    }

    #[test]
    fn of_very_many_accounts_the_rest_is_only_counted() {
        let many = |accounts: u64| -> Vec<Usage> {
            (0..accounts)
                .map(|at| usage(&format!("{:012}", 222_222_222_222 + at), "ec2:Instance", 1))
                .collect()
        };
        assert!(sentence(&many(20)).ends_with(" and 222222222241 (1 instance)"), "{}", sentence(&many(20)));
        assert!(sentence(&many(21)).ends_with("222222222241 (1 instance) and 1 more account"));
        assert!(sentence(&many(1000)).ends_with("222222222241 (1 instance) and 980 more accounts"));
    }
}
