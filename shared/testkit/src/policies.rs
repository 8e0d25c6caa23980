//! Foreign parts of key policies, what AWS makes of managed statements when it stores them, and how they may be changed
//! out of band.

use ami_share_domain::key::policy::SIZE_LIMIT;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::ids::{HUB, matching};
use crate::json::{Json, strings, values};

/// The foreign part of a key policy.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// The fields of the document before `Statement`. The names keep their quotes.
    pub before: Vec<(String, Json)>,
    /// The statements.
    pub statements: Vec<Json>,
    /// The fields after `Statement`.
    pub after: Vec<(String, Json)>,
    /// The white space between tokens.
    pub spaces: Vec<u8>,
}

impl Foreign {
    /// The policy with its original white space, and with the statements `managed` among the foreign ones.
    pub fn actual(&self, managed: &[Value]) -> String {
        let mut statements = self.statements.clone();
        for (position, statement) in managed.iter().enumerate() {
            let place = (position * 2) % (statements.len() + 1);
            statements.insert(place, Json::token(statement.to_string()));
        }
        let statement = match <[Json; 1]>::try_from(statements) {
            // A single statement may be written without its list.
            Ok([only]) if self.spaces.len() % 2 == 1 && matches!(only, Json::Object(_)) => only,
            Ok([only]) => Json::List(vec![only]),
            Err(statements) => Json::List(statements),
        };
        self.document(statement).spaced(&self.spaces)
    }

    /// The policy as ami-share must write it: the foreign part unchanged, then `managed`.
    pub fn written(&self, managed: &[Value]) -> String {
        let managed = managed.iter().map(|statement| Json::token(statement.to_string()));
        self.document(Json::List(self.statements.iter().cloned().chain(managed).collect())).compact()
    }

    fn document(&self, statement: Json) -> Json {
        let statement = ("\"Statement\"".to_owned(), statement);
        Json::Object(
            self.before.iter().cloned().chain([statement]).chain(self.after.iter().cloned()).collect(),
        )
    }
}

/// The statement that AWS puts into every new key's policy.
pub fn root_statement() -> Value {
    json!({
        "Sid": "Enable IAM User Permissions",
        "Effect": "Allow",
        "Principal": { "AWS": format!("arn:aws:iam::{HUB}:root") },
        "Action": "kms:*",
        "Resource": "*",
    })
}

/// The policy of a new key.
pub fn default_policy() -> Foreign {
    let version = ("\"Version\"".to_owned(), Json::token("\"2012-10-17\""));
    let statements = vec![Json::token(root_statement().to_string())];
    Foreign { before: vec![version], statements, after: Vec::new(), spaces: Vec::new() }
}

/// The policy of a new key, with a foreign statement so long that `room` bytes are left of the limit.
pub fn crowded_policy(room: usize) -> Foreign {
    let mut policy = default_policy();
    let filled = |length: usize| {
        Json::Object(vec![("\"Note\"".to_owned(), Json::token(format!("\"{}\"", "x".repeat(length))))])
    };
    policy.statements.push(filled(0));
    let length = SIZE_LIMIT - room - policy.written(&[]).len();
    policy.statements[1] = filled(length);
    policy
}

/// Any foreign part of a policy: shapes that AWS documents, and shapes that no documentation has.
pub fn foreign() -> impl Strategy<Value = Foreign> {
    let fields = || prop::collection::vec((names(), values()), 0..3);
    let spaces = prop::collection::vec(any::<u8>(), 0..6);
    (fields(), prop::collection::vec(statements(), 0..4), fields(), spaces)
        .prop_map(|(before, statements, after, spaces)| Foreign { before, statements, after, spaces })
}

/// A foreign part of a policy that says something: its statements allow and deny calls of a few accounts, by every element
/// and by the operators that key policies use.
pub fn meaningful() -> impl Strategy<Value = Foreign> {
    prop::collection::vec(meaningful_statements(), 1..5).prop_map(|statements| {
        let statements = statements.iter().map(|statement| Json::token(statement.to_string())).collect();
        Foreign { statements, ..default_policy() }
    })
}

fn meaningful_statements() -> impl Strategy<Value = Value> {
    let principals = || {
        prop::sample::select(vec![
            json!("*"),
            json!({ "AWS": "*" }),
            json!({ "AWS": "arn:aws:iam::000000000001:root" }),
            json!({ "AWS": ["000000000002", "arn:aws:iam::000000000003:role/builder"] }),
            json!({ "AWS": "arn:aws:iam::000000000004:user/sam", "Service": "ec2.amazonaws.com" }),
            json!({ "Service": "logs.amazonaws.com" }),
        ])
    };
    let actions = || {
        prop::sample::select(vec![
            json!("*"),
            json!("kms:*"),
            json!(["kms:Decrypt", "kms:CreateGrant"]),
            json!(["kms:ReEncrypt*", "kms:Describe*"]),
            json!("kms:?utKeyPolicy"),
        ])
    };
    let conditions = prop::sample::select(vec![
        json!({ "StringEquals": { "kms:CallerAccount": ["000000000001", "000000000002"] } }),
        json!({ "StringEquals": { "aws:PrincipalOrgID": "o-a1b2c3d4e5" } }),
        json!({ "StringNotEquals": { "aws:PrincipalOrgID": "o-a1b2c3d4e5" } }),
        json!({ "ForAnyValue:StringLike": { "aws:PrincipalOrgPaths": "o-a1b2c3d4e5/r-ab12/ou-ab12-00000001/*" } }),
        json!({ "Bool": { "kms:GrantIsForAWSResource": true } }),
        json!({ "BoolIfExists": { "kms:GrantIsForAWSResource": "false" } }),
        json!({ "StringLike": { "kms:ViaService": "ec2.*" }, "Null": { "aws:PrincipalOrgID": "true" } }),
        json!({ "ArnNotLike": { "aws:PrincipalArn": "arn:aws:iam::*:role/*" } }),
        json!({ "NumericLessThan": { "aws:MultiFactorAuthAge": 300 } }),
    ]);
    let effect = prop_oneof![3 => Just("Allow"), 2 => Just("Deny")];
    let elements = (effect, principals(), any::<bool>(), actions(), any::<bool>());
    (elements, prop::option::of(conditions)).prop_map(
        |((effect, principal, is_principal, action, is_action), condition)| {
            let principal_element = if is_principal { "Principal" } else { "NotPrincipal" };
            let action_element = if is_action { "Action" } else { "NotAction" };
            let mut statement = json!({ "Effect": effect, principal_element: principal, action_element: action,
                "Resource": "*" });
            if let Some(condition) = condition {
                statement["Condition"] = condition;
            }
            statement
        },
    )
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\"Version\"".to_owned()),
        Just("\"Id\"".to_owned()),
        matching("\"[a-zA-Zäß日 .:-]{0,8}\"")
    ]
    .prop_filter("the field that `document` adds", |name| name != "\"Statement\"")
}

/// Any foreign statement.
fn statements() -> impl Strategy<Value = Json> {
    let sids =
        ["\"amishareUse\"", "\"NotAmiShare\"", "\" AmiShare\"", "\"AmiShar\\u0045\"", "7", "\"\"", "null"];
    let sid = prop::sample::select(sids.to_vec()).prop_map(Json::token);
    let principals = [
        r#"{"AWS":"arn:aws:iam::111122223333:root"}"#,
        r#"{"AWS":["AROAEXAMPLE","*"],"Service":"ec2.amazonaws.com"}"#,
        r#""*""#,
    ];
    let principal = prop::sample::select(principals.to_vec()).prop_map(Json::token);
    let named = |name: &'static str, value: BoxedStrategy<Json>| {
        prop::option::of(value.prop_map(move |value| (format!("\"{name}\""), value)))
    };
    let documented = (
        named("Sid", sid.boxed()),
        named("Principal", principal.clone().boxed()),
        named("NotPrincipal", principal.boxed()),
        named("Condition", values().boxed()),
    );
    let undocumented = prop::collection::vec((strings(), values()), 0..3);
    let object = (documented, undocumented).prop_map(|((sid, principal, not_principal, condition), rest)| {
        Json::Object([principal, sid, not_principal, condition].into_iter().flatten().chain(rest).collect())
    });
    prop_oneof![9 => object, 1 => values()]
}

/// Managed statements as AWS may return them: a list of one as the item alone; lists, members and statements in another
/// order, which `order` picks.
pub fn as_stored(statements: &[Value], order: usize) -> Vec<Value> {
    reordered(statements.iter().map(|statement| stored(statement, order)).collect(), order)
}

fn stored(value: &Value, order: usize) -> Value {
    match value {
        Value::Array(items) if items.len() == 1 => stored(&items[0], order),
        Value::Array(items) => Value::Array(reordered(items.clone(), order)),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (name.clone(), stored(value, order)));
            Value::Object(reordered(members.collect(), order).into_iter().collect())
        }
        other => other.clone(),
    }
}

fn reordered<T>(mut items: Vec<T>, order: usize) -> Vec<T> {
    if !items.is_empty() {
        let middle = order % items.len();
        items.rotate_left(middle);
    }
    if order % 2 == 1 {
        items.reverse();
    }
    items
}

/// An out-of-band change of a managed statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tampering {
    /// Another action is added.
    ExtraAction,
    /// Every AWS account, without a condition.
    AnyPrincipal,
    /// Its condition is missing.
    NoCondition,
    /// One more principal, of a form that ami-share never writes.
    ExtraPrincipal,
    /// One more condition, which ami-share would not keep.
    ExtraCondition,
    /// A denial with a managed Sid.
    Denial,
}

impl Tampering {
    /// The changed statement.
    pub fn to(self, statement: &Value) -> Value {
        let mut statement = statement.clone();
        match self {
            Self::ExtraAction => statement["Action"] = json!(["kms:Decrypt", "kms:PutKeyPolicy"]),
            Self::AnyPrincipal => {
                statement["Principal"] = json!("*");
                remove(&mut statement, "Condition");
            }
            Self::NoCondition => {
                statement["Principal"] = json!({ "AWS": "*" });
                remove(&mut statement, "Condition");
            }
            Self::ExtraPrincipal => {
                statement["Principal"] = json!({ "AWS": ["*", "arn:aws:iam::999999999999:user/eve"] })
            }
            Self::ExtraCondition => {
                statement["Condition"] = json!({ "Null": { "aws:TokenIssueTime": "true" } })
            }
            Self::Denial => statement["Effect"] = json!("Deny"),
        }
        statement
    }
}

fn remove(statement: &mut Value, field: &str) {
    statement.as_object_mut().unwrap().shift_remove(field);
}

/// Any out-of-band change.
pub fn tamperings() -> impl Strategy<Value = Tampering> {
    use Tampering::{AnyPrincipal, Denial, ExtraAction, ExtraCondition, ExtraPrincipal, NoCondition};
    prop::sample::select(vec![ExtraAction, AnyPrincipal, NoCondition, ExtraPrincipal, ExtraCondition, Denial])
}
