//! What must be true of a key policy before it may be put: nobody locked out, and a key that we may write.

use serde_json::Value;

use crate::ids::{AccountId, Arn, KeyArn};
use crate::key::policy::{BadPolicy, KeyPolicy, SIZE_LIMIT};
use crate::key::statements::strings;
use crate::refusal::{Refusal, RefusalCode};
use crate::tags::share_tags::MANAGED;
use crate::targets::target::KeyPrincipal;

/// A key as `resolve-share` sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedKey {
    /// Its ARN.
    pub arn: KeyArn,
    /// Whether AWS manages it (`aws/ebs`), so that its policy cannot be changed.
    pub is_aws_managed: bool,
    /// Whether it can be used: neither disabled nor about to be deleted.
    pub is_enabled: bool,
    /// Whether it carries `ami-share:managed = true`.
    pub is_managed: bool,
}

/// Why an image on this key cannot be shared; `None` when it can.
pub fn refuse_key(key: &ObservedKey, hub: &AccountId) -> Option<Refusal> {
    let name = key.arn.short();
    let (code, reason) = if key.is_aws_managed {
        (RefusalCode::AwsManagedKey, "the image is encrypted with the AWS managed key aws/ebs, which cannot be shared; copy the image with a key of your own and tag the copy".to_owned())
    } else if key.arn.account().as_ref() != Some(hub) {
        (
            RefusalCode::ForeignKey,
            format!(
                "{name} belongs to another account, so its policy cannot be changed from here; copy the image with a key of this account"
            ),
        )
    } else if !key.is_enabled {
        (
            RefusalCode::UnusableKey,
            format!(
                "{name} is disabled or about to be deleted; enable it, or copy the image with another key"
            ),
        )
    } else if !key.is_managed {
        return Some(untagged(&key.arn));
    } else {
        return None;
    };
    Some(Refusal::new(key.arn.as_str(), code, reason))
}

/// Why nobody can be taken out of this key's policy; `None` when they can. KMS takes a new policy of a key that is
/// disabled or about to be deleted too, and such a key may come back. Source:
/// <https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html#key-state-table>
pub fn refuse_revocation(key: &ObservedKey, hub: &AccountId) -> Option<Refusal> {
    refuse_key(&ObservedKey { is_enabled: true, ..key.clone() }, hub)
}

/// The refusal of a key that does not carry `ami-share:managed = true`.
pub fn untagged(key: &KeyArn) -> Refusal {
    let name = key.short();
    Refusal::new(
        key.as_str(),
        RefusalCode::UntaggedKey,
        format!(
            "{name} lacks the tag {MANAGED} = true, so its policy is not touched; add that tag to the key and look again, or wait for the review"
        ),
    )
}

/// The refusal of a key that does not exist any more.
pub fn missing(key: &KeyArn) -> Refusal {
    let name = key.short();
    Refusal::new(
        key.as_str(),
        RefusalCode::UnusableKey,
        format!(
            "{name} does not exist any more, so nobody can use the image; copy the image with another key"
        ),
    )
}

/// The refusal of a key that AWS does not let us read; `said` is what AWS said.
pub fn unreadable(key: &KeyArn, said: &str) -> Refusal {
    let name = key.short();
    Refusal::new(
        key.as_str(),
        RefusalCode::PolicyUnsafe,
        format!(
            "{name} cannot be read; let this account read it by its policy (statement `Enable IAM User Permissions`), then look again: {said}"
        ),
    )
}

/// The refusal of a policy that we cannot make sense of, and therefore leave alone.
pub fn unintelligible(key: &KeyArn, bad: &BadPolicy) -> Refusal {
    let name = key.short();
    Refusal::new(
        key.as_str(),
        RefusalCode::PolicyUnsafe,
        format!("the policy of {name} is not understood; mend it, then look again: {bad}"),
    )
}

/// The refusal of a policy that somebody made so large that our statements cannot be written anew.
pub fn no_room_to_rewrite(key: &KeyArn) -> Refusal {
    let name = key.short();
    Refusal::new(
        key.as_str(),
        RefusalCode::PolicyTooLarge,
        format!(
            "the policy of {name} has no room to be written anew ({SIZE_LIMIT} bytes); shorten its other statements"
        ),
    )
}

/// The refusal of taking `principals` out of a key's policy, for the reason that `refusal` says.
pub fn still_granted_on_key(key: &KeyArn, principals: &[KeyPrincipal], refusal: Refusal) -> Refusal {
    let reason = format!("{} still admits {}: {}", key.short(), names(principals), refusal.reason);
    Refusal { reason, ..refusal }
}

/// The same where nobody can tell whether the policy admits them, because it cannot be read.
pub fn perhaps_granted<'a>(
    key: &KeyArn,
    principals: impl IntoIterator<Item = &'a KeyPrincipal>,
    refusal: Refusal,
) -> Refusal {
    let reason = format!("{} may still admit {}: {}", key.short(), names(principals), refusal.reason);
    Refusal { reason, ..refusal }
}

fn names<'a>(principals: impl IntoIterator<Item = &'a KeyPrincipal>) -> String {
    let names: Vec<String> = principals.into_iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// The refusal of a policy that keeps nobody's right to change it.
pub fn refuse_lock_out(key: &KeyArn, policy: &KeyPolicy, caller: &Caller) -> Option<Refusal> {
    let keeps_access = policy
        .foreign()
        .iter()
        .filter_map(|text| serde_json::from_str(text).ok())
        .any(|statement| allows_put(&statement, caller));
    let name = key.short();
    (!keeps_access).then(|| {
        Refusal::new(
            key.as_str(),
            RefusalCode::PolicyUnsafe,
            format!("no statement of the policy of {name} lets this account put it, which would lock everybody out; add the statement `Enable IAM User Permissions` for the account's root"),
        )
    })
}

/// The refusal of a policy that KMS does not take back even as it is: somebody else's statement is broken.
/// `message` is what KMS said.
pub fn refuse_broken(key: &KeyArn, policy: &KeyPolicy, message: &str) -> Refusal {
    let name = key.short();
    let dangling = dangling_principals(policy);
    let cause = if dangling.is_empty() {
        format!(
            "KMS does not take the policy of {name} back even without new principals ({message}); mend its statements"
        )
    } else {
        format!(
            "the policy of {name} names deleted principals ({}), so KMS takes no change of it; remove them from it",
            dangling.join(", ")
        )
    };
    Refusal::new(key.as_str(), RefusalCode::PolicyUnsafe, cause)
}

/// The ids that KMS leaves in a policy for roles and users that were deleted: nobody can put them back. Source:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-roles>
pub fn dangling_principals(policy: &KeyPolicy) -> Vec<String> {
    let statements = policy.foreign().iter().filter_map(|text| serde_json::from_str::<Value>(text).ok());
    statements
        .flat_map(|statement| {
            let named = ["/Principal/AWS", "/NotPrincipal/AWS"]
                .map(|place| strings(statement.pointer(place)).map(str::to_owned).collect::<Vec<_>>());
            named.concat()
        })
        .filter(|principal| principal.starts_with("AROA") || principal.starts_with("AIDA"))
        .collect()
}

/// Who puts the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account: AccountId,
    /// The name of the role, when the caller is one.
    pub role: Option<String>,
}

impl Caller {
    /// Reads the ARN that `sts:GetCallerIdentity` answers.
    pub fn from_arn(account: AccountId, arn: &str) -> Self {
        let assumed = Arn::parse(arn).ok().and_then(|arn| arn.resource_of("assumed-role"));
        let role = assumed.and_then(|session| session.split('/').next()).map(str::to_owned);
        Self { account, role }
    }

    fn is_named_by(&self, principal: &str) -> bool {
        let Self { account, role } = self;
        let Ok(arn) = Arn::parse(principal) else {
            return principal == "*" || principal == account.as_str();
        };
        let is_own_role = || arn.resource_of("role").is_some() && role.as_deref() == Some(arn.last());
        (arn.service, arn.account) == ("iam", account.as_str()) && (arn.resource == "root" || is_own_role())
    }
}

/// Whether a statement alone proves that the caller may put the policy again. Statements that
/// are harder to read (`NotPrincipal`, `NotAction`, conditions) prove nothing.
fn allows_put(statement: &Value, caller: &Caller) -> bool {
    let named = match statement.get("Principal") {
        Some(Value::String(everyone)) => everyone == "*",
        Some(principal) => strings(principal.get("AWS")).any(|principal| caller.is_named_by(principal)),
        None => false,
    };
    named
        && statement.get("Effect").and_then(Value::as_str) == Some("Allow")
        && statement.get("Condition").is_none()
        && strings(statement.get("Action"))
            .any(|action| matches(&action.to_ascii_lowercase(), "kms:putkeypolicy"))
}

/// Whether a pattern with `*` and `?` matches.
fn matches(pattern: &str, text: &str) -> bool {
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), first) => {
            // Neighbouring stars mean one star; taken one by one they would cost exponential time.
            let rest = pattern.trim_start_matches('*');
            matches(rest, text)
                || first.is_some_and(|c| matches(pattern, text.get(c.len_utf8()..).unwrap_or_default()))
        }
        (Some(p), Some(t)) if p == '?' || p == t => matches(
            pattern.get(p.len_utf8()..).unwrap_or_default(),
            text.get(t.len_utf8()..).unwrap_or_default(),
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locks_out(principal: &str, action: &str) -> bool {
        let policy = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":{principal},"Action":{action},"Resource":"*"}}}}"#
        );
        let policy = KeyPolicy::parse(&policy).unwrap();
        let caller = Caller::from_arn(
            "111122223333".parse().unwrap(),
            "arn:aws:sts::111122223333:assumed-role/extend/run",
        );
        let key = "arn:aws:kms:eu-west-1:111122223333:key/1".parse().unwrap();
        refuse_lock_out(&key, &policy, &caller).is_some()
    }

    #[test]
    fn a_policy_is_put_only_where_the_caller_keeps_the_right_to_put_it() {
        let root = r#"{"AWS":"arn:aws:iam::111122223333:root"}"#;
        assert!(!locks_out(root, r#""kms:*""#));
        assert!(!locks_out(root, r#"["kms:Get*","kms:Put*"]"#));
        assert!(!locks_out(
            r#"{"AWS":["arn:aws:iam::111122223333:role/path/extend"]}"#,
            r#""kms:PutKeyPolicy""#
        ));
        assert!(locks_out(root, r#""kms:Get*""#));
        assert!(locks_out(r#"{"AWS":"arn:aws:iam::222222222222:root"}"#, r#""kms:*""#));
        assert!(locks_out(r#"{"Service":"ec2.amazonaws.com"}"#, r#""kms:*""#));
    }
}
