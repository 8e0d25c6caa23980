//! The elements Principal and NotPrincipal of a statement.

use serde_json::Value;

use super::truth::Truth;
use crate::ids::{AccountId, Arn};

/// The principal that makes a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requester {
    /// A principal of an account.
    Account {
        /// The account.
        account: AccountId,
        /// The ARN of the role, the user or the account's root; `None` for a principal of which only the account is known.
        arn: Option<String>,
        /// The ARN of the role's session, if it is known.
        session: Option<String>,
    },
    /// An AWS service that acts for itself: `ec2.amazonaws.com`.
    Service(String),
}

impl Requester {
    /// Any principal of an account.
    pub fn any_of(account: &AccountId) -> Self {
        Self::Account { account: account.clone(), arn: None, session: None }
    }
}

/// Whether a statement names the principal. Source:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>
pub(super) fn name(statement: &Value, requester: &Requester) -> Truth {
    match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(named), None) => is_among(named, requester, Naming::Principal),
        (None, Some(excepted)) => is_among(excepted, requester, Naming::NotPrincipal).negated(),
        (None, None) => Truth::No,
        (Some(_), Some(_)) => Truth::Unknown,
    }
}

/// The element that names principals. An account in Principal stands for all its principals. In NotPrincipal it excepts
/// its root for certain; whether it excepts its roles and users, too, AWS leaves to the service. Source:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html>
#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    Principal,
    NotPrincipal,
}

fn is_among(named: &Value, requester: &Requester, naming: Naming) -> Truth {
    match named {
        Value::String(all) if all == "*" => Truth::Yes,
        Value::Object(kinds) => Truth::any(kinds.iter().map(|(kind, named)| match named {
            Value::Array(several) => {
                Truth::any(several.iter().map(|one| is_one(kind, one, requester, naming)))
            }
            alone => is_one(kind, alone, requester, naming),
        })),
        _ => Truth::Unknown,
    }
}

fn is_one(kind: &str, named: &Value, requester: &Requester, naming: Naming) -> Truth {
    let Some(named) = named.as_str() else { return Truth::Unknown };
    match (kind, requester) {
        ("AWS", _) if named == "*" => Truth::Yes,
        ("AWS", Requester::Service(_)) | ("Service", Requester::Account { .. }) => Truth::No,
        ("Service", Requester::Service(service)) => (named == service).into(),
        ("AWS", Requester::Account { account, arn, session }) => {
            let itself = Itself { account, arn: arn.as_deref(), session: session.as_deref() };
            itself.is(named, naming)
        }
        _ => Truth::Unknown,
    }
}

/// A principal of an account.
struct Itself<'a> {
    account: &'a AccountId,
    arn: Option<&'a str>,
    session: Option<&'a str>,
}

impl Itself<'_> {
    fn is(&self, named: &str, naming: Naming) -> Truth {
        if named.parse::<AccountId>().is_ok() {
            return self.is_of_account(named, naming);
        }
        // What KMS leaves of a deleted role or user.
        if named.starts_with("AROA") || named.starts_with("AIDA") {
            return Truth::No;
        }
        match Arn::parse(named) {
            Ok(arn) if arn.account != self.account.as_str() => Truth::No,
            Ok(arn) if (arn.service, arn.resource) == ("iam", "root") => {
                self.is_of_account(arn.account, naming)
            }
            Ok(arn) if arn.service == "iam" => self.arn.map_or(Truth::Unknown, |own| (own == named).into()),
            Ok(arn) if arn.service == "sts" => self.is_session(named, arn.resource),
            _ => Truth::Unknown,
        }
    }

    fn is_of_account(&self, account: &str, naming: Naming) -> Truth {
        match naming {
            _ if account != self.account.as_str() => Truth::No,
            Naming::Principal => Truth::Yes,
            Naming::NotPrincipal => {
                let is_root = self.arn.is_some_and(|own| own.ends_with(":root"));
                if is_root { Truth::Yes } else { Truth::Unknown }
            }
        }
    }

    fn is_session(&self, named: &str, resource: &str) -> Truth {
        let role = resource.strip_prefix("assumed-role/").and_then(|rest| rest.split('/').next());
        let own_role = self.arn.and_then(|own| own.rsplit('/').next());
        match (self.session, role, own_role) {
            (Some(session), ..) => (session == named).into(),
            (None, Some(role), Some(own)) if role != own => Truth::No,
            _ => Truth::Unknown,
        }
    }
}
