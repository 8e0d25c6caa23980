//! The ids and ARNs that cross function borders: each is parsed once, and is well formed from then on.

mod arn;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use self::arn::Arn;

/// A text that is not the id that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct BadId {
    /// The text.
    pub text: String,
    /// What it should have been, with an article and an example.
    pub expected: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $is_valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as AWS writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let is_valid: fn(&str) -> bool = $is_valid;
                if is_valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(BadId { text: text.to_owned(), expected: $expected })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;

            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// An AWS account: 12 digits.
    AccountId,
    "an account id (12 digits, like 222222222222)",
    |text| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
);
id!(
    /// An organizational unit. Source of the pattern:
    /// <https://docs.aws.amazon.com/organizations/latest/APIReference/API_OrganizationalUnit.html>
    OuId,
    "an OU id (like ou-ab12-cdef3456)",
    |text| match text.strip_prefix("ou-").and_then(|rest| rest.split_once('-')) {
        Some((root, unit)) => is_lower_alphanumeric(root, 4..=32) && is_lower_alphanumeric(unit, 8..=32),
        None => false,
    }
);
id!(
    /// An organization root. Source of the pattern:
    /// <https://docs.aws.amazon.com/organizations/latest/APIReference/API_Root.html>
    RootId,
    "a root id (like r-ab12)",
    |text| text.strip_prefix("r-").is_some_and(|rest| is_lower_alphanumeric(rest, 4..=32))
);
id!(
    /// An organization. Source of the pattern:
    /// <https://docs.aws.amazon.com/organizations/latest/APIReference/API_Organization.html>
    OrganizationId,
    "an organization id (like o-a1b2c3d4e5)",
    |text| text.strip_prefix("o-").is_some_and(|rest| is_lower_alphanumeric(rest, 10..=32))
);
id!(
    /// The ARN of an organization, as launch permissions name it.
    OrganizationArn,
    "an organization ARN (like arn:aws:organizations::111122223333:organization/o-a1b2c3d4e5)",
    |text| is_organizations_arn(text, "organization/o-")
);
id!(
    /// The ARN of an organizational unit, as launch permissions name it.
    OuArn,
    "an OU ARN (like arn:aws:organizations::111122223333:ou/o-a1b2c3d4e5/ou-ab12-cdef3456)",
    |text| is_organizations_arn(text, "ou/o-")
);
id!(
    /// An Amazon Machine Image.
    ImageId,
    "an image id (like ami-0abcdef1234567890)",
    |text| is_ec2_id(text, "ami-")
);
id!(
    /// An EBS snapshot.
    SnapshotId,
    "a snapshot id (like snap-0abcdef1234567890)",
    |text| is_ec2_id(text, "snap-")
);
id!(
    /// A KMS key by its full ARN: `arn:PARTITION:kms:REGION:ACCOUNT:key/ID`.
    KeyArn,
    "a KMS key ARN (like arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab)",
    |text| {
        Arn::parse(text).is_ok_and(|arn| {
            arn.service == "kms"
                && arn.account.parse::<AccountId>().is_ok()
                && arn.resource_of("key").is_some()
        })
    }
);
id!(
    /// The path of an OU from its organization, as a pattern for `aws:PrincipalOrgPaths`:
    /// `o-…/r-…/ou-…/…/*` reaches the accounts of the last OU and of every OU below it. Source:
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalorgpaths>
    OrgPath,
    "an organization path (like o-a1b2c3d4e5/r-ab12/ou-ab12-cdef3456/*)",
    |text| {
        let mut parts = text.split('/').collect::<Vec<_>>();
        parts.pop() == Some("*")
            && matches!(parts.as_slice(), [organization, root, units @ ..]
                if organization.parse::<OrganizationId>().is_ok()
                    && root.parse::<RootId>().is_ok()
                    && !units.is_empty()
                    && units.iter().all(|unit| unit.parse::<OuId>().is_ok()))
    }
);

impl KeyArn {
    /// The account that owns the key: the only one that can put its policy.
    pub fn account(&self) -> Option<AccountId> {
        Arn::parse(&self.0).ok()?.account.parse().ok()
    }

    /// The partition: `aws`, `aws-cn` or `aws-us-gov`.
    pub fn partition(&self) -> &str {
        Arn::parse(&self.0).map_or("aws", |arn| arn.partition)
    }

    /// The last part, as people name the key: `key/ID`.
    pub fn short(&self) -> &str {
        Arn::parse(&self.0).map_or(&self.0, |arn| arn.resource)
    }
}

impl OrganizationArn {
    /// The id of the organization.
    pub fn organization(&self) -> &str {
        last(&self.0)
    }

    /// The organization that the ARN names.
    pub fn id(&self) -> Option<OrganizationId> {
        self.organization().parse().ok()
    }
}

impl OuArn {
    /// The id of the OU.
    pub fn unit(&self) -> &str {
        last(&self.0)
    }
}

fn last(arn: &str) -> &str {
    Arn::parse(arn).map_or(arn, |arn| arn.last())
}

fn is_lower_alphanumeric(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

fn is_ec2_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| {
        (8..=17).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn is_organizations_arn(text: &str, resource: &str) -> bool {
    Arn::parse(text).is_ok_and(|arn| {
        (arn.service, arn.region) == ("organizations", "")
            && arn.account.parse::<AccountId>().is_ok()
            && arn.resource.starts_with(resource)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_the_wrong_shape_is_refused_by_name() {
        assert_eq!(
            "2222".parse::<AccountId>().unwrap_err().to_string(),
            "`2222` is not an account id (12 digits, like 222222222222)"
        );
        for bad in ["ou-ab12", "ou-AB12-cdef3456", "ou-ab12-cdef", "r-ab12"] {
            assert!(bad.parse::<OuId>().is_err(), "{bad}");
        }
        for bad in ["ami-", "ami-zzzzzzzz", "snap-0abcdef1234567890"] {
            assert!(bad.parse::<ImageId>().is_err(), "{bad}");
        }
        for bad in ["o-a1b2c3d4e5/r-ab12/*", "o-a1b2c3d4e5/r-ab12/ou-ab12-cdef3456", "*"] {
            assert!(bad.parse::<OrgPath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_arn_knows_its_account_and_its_short_name() {
        let key: KeyArn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd".parse().unwrap();
        assert_eq!(key.account().unwrap().as_str(), "111122223333");
        assert_eq!(key.short(), "key/1234abcd");
        assert!("arn:aws:kms:eu-west-1:111122223333:alias/aws/ebs".parse::<KeyArn>().is_err());
    }
}
