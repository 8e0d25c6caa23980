//! Evaluates a key policy: may a principal call KMS on the key?
//!
//! It reads the elements and condition operators that key policies use. What it cannot evaluate (a condition key whose
//! value is not known, an operator that it does not compare, a policy variable) is *unknown*, never *no*: an Allow that
//! is unknown does not prove access, and a Deny that is unknown does not prove the lack of it. The caller's own IAM
//! policies, service control policies and KMS grants are not its subject. Source:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>

mod conditions;
mod context;
mod elements;
mod principals;
mod truth;

use serde_json::Value;

pub use self::context::{Context, ContextValue};
pub use self::principals::Requester;
use self::truth::Truth;
use crate::ids::KeyArn;
use crate::key::policy::{KeyPolicy, StatementName};

/// A call of KMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The key.
    pub key: KeyArn,
    /// The principal that calls.
    pub requester: Requester,
    /// The action as IAM names it: `kms:Decrypt`.
    pub action: String,
    /// The condition keys of the call.
    pub context: Context,
}

/// What a statement does when it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It allows the call.
    Allow,
    /// It denies the call, whatever other statements allow.
    Deny,
}

/// What a key policy decides on a call, and by which statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it, and none denies it.
    Allowed {
        /// The first statement that allows it.
        by: StatementName,
    },
    /// A statement denies it.
    Denied {
        /// The first statement that denies it.
        by: StatementName,
    },
    /// No statement allows it.
    NotAllowed,
    /// It depends on a statement that cannot be evaluated.
    Unknown {
        /// The first such statement.
        by: StatementName,
        /// Whether that statement would allow or deny the call.
        effect: Effect,
    },
}

/// What `policy` decides on `request`.
pub fn evaluate(policy: &KeyPolicy, request: &Request) -> Decision {
    evaluate_statements(&policy.statements().collect::<Vec<_>>(), request)
}

/// The same for the statements of a policy, each with its name.
pub fn evaluate_statements(statements: &[(StatementName, Value)], request: &Request) -> Decision {
    let (mut allowing, mut perhaps_allowing, mut perhaps_denying) = (None, None, None);
    for (name, statement) in statements {
        // KMS accepts no statement without an effect.
        let Some(effect) = effect(statement) else { continue };
        match (effect, applies(statement, request)) {
            (_, Truth::No) => {}
            (Effect::Deny, Truth::Yes) => return Decision::Denied { by: name.clone() },
            (Effect::Deny, Truth::Unknown) => _ = perhaps_denying.get_or_insert_with(|| name.clone()),
            (Effect::Allow, Truth::Yes) => _ = allowing.get_or_insert_with(|| name.clone()),
            (Effect::Allow, Truth::Unknown) => _ = perhaps_allowing.get_or_insert_with(|| name.clone()),
        }
    }
    match (allowing, perhaps_denying, perhaps_allowing) {
        (Some(_), Some(by), _) => Decision::Unknown { by, effect: Effect::Deny },
        (Some(by), None, _) => Decision::Allowed { by },
        (None, _, Some(by)) => Decision::Unknown { by, effect: Effect::Allow },
        (None, _, None) => Decision::NotAllowed,
    }
}

fn effect(statement: &Value) -> Option<Effect> {
    match statement.get("Effect")?.as_str()? {
        "Allow" => Some(Effect::Allow),
        "Deny" => Some(Effect::Deny),
        _ => None,
    }
}

/// Whether a statement applies to a call, whatever its effect.
fn applies(statement: &Value, request: &Request) -> Truth {
    Truth::all([
        principals::name(statement, &request.requester),
        elements::name_action(statement, &request.action),
        elements::name_key(statement, &request.key),
        conditions::hold(statement.get("Condition"), &request.context),
    ])
}
