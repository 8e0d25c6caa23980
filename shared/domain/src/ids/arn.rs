//! Amazon Resource Names: the only place that takes one apart.

use super::BadId;

/// The parts of `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`; Region and account may be empty.
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arn<'a> {
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: &'a str,
    /// Such as `kms`.
    pub service: &'a str,
    /// Such as `eu-west-1`; empty for a global service.
    pub region: &'a str,
    /// The account that owns the resource; empty for a public one, such as an EC2 image in an event.
    pub account: &'a str,
    /// All that follows, such as `key/1234abcd` or `ou/o-a1b2c3d4e5/ou-ab12-cdef3456`.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Takes an ARN apart.
    ///
    /// # Errors
    /// When the text is no ARN.
    pub fn parse(text: &'a str) -> Result<Self, BadId> {
        let fields: Vec<&str> = text.splitn(6, ':').collect();
        match fields.as_slice() {
            ["arn", partition, service, region, account, resource] => {
                Ok(Self { partition, service, region, account, resource })
            }
            _ => Err(BadId {
                text: text.to_owned(),
                expected: "an ARN (like arn:aws:kms:eu-west-1:111122223333:key/1234abcd)",
            }),
        }
    }

    /// The resource of one type: `1234abcd` of `key/1234abcd` for the type `key`.
    pub fn resource_of(&self, resource_type: &str) -> Option<&'a str> {
        self.resource.strip_prefix(resource_type)?.strip_prefix('/').filter(|rest| !rest.is_empty())
    }

    /// The last part of a path: the id of an OU, the name of a role.
    pub fn last(&self) -> &'a str {
        self.resource.rsplit('/').next().unwrap_or(self.resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_has_six_parts_of_which_the_last_may_hold_colons() {
        let arn = Arn::parse("arn:aws-cn:states:cn-north-1:111122223333:stateMachine:share").unwrap();
        assert_eq!((arn.partition, arn.service, arn.region), ("aws-cn", "states", "cn-north-1"));
        assert_eq!((arn.account, arn.resource), ("111122223333", "stateMachine:share"));
        for bad in ["", "111122223333", "arn:aws:states", "arn-of:a:b:c:d:e"] {
            assert!(Arn::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_resource_is_known_by_its_type_and_by_the_end_of_its_path() {
        let role = Arn::parse("arn:aws:sts::111122223333:assumed-role/extend/run").unwrap();
        assert_eq!(role.resource_of("assumed-role"), Some("extend/run"));
        assert_eq!((role.resource_of("role"), role.resource_of("assumed")), (None, None));
        assert_eq!(role.last(), "run");
        let image = Arn::parse("arn:aws:ec2:eu-west-1::image/ami-0abcdef1234567890").unwrap();
        assert_eq!((image.account, image.resource_of("image")), ("", Some("ami-0abcdef1234567890")));
    }
}
