//! A request of the AWS SDK, and the call that it makes. Every protocol becomes one JSON document.

use serde_json::{Map, Value};

/// A request as the SDK sends it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `POST`, or another method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// The header `x-amz-target`.
    pub target: Option<String>,
    /// The header `authorization`; it names the service, and in our tests the function.
    pub authorization: String,
    /// The body.
    pub body: Vec<u8>,
}

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Amazon DynamoDB.
    DynamoDb,
    /// Amazon EC2.
    Ec2,
    /// Amazon EventBridge.
    Events,
    /// AWS KMS.
    Kms,
    /// AWS Organizations.
    Organizations,
    /// Amazon EventBridge Scheduler.
    Scheduler,
    /// Amazon SNS.
    Sns,
    /// AWS Step Functions.
    States,
}

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The function that calls.
    pub role: String,
    /// The service.
    pub service: Service,
    /// The operation, as the service names it.
    pub operation: String,
    /// What it is called with.
    pub input: Value,
}

impl Call {
    /// Whether it changes nothing.
    pub fn is_read(&self) -> bool {
        const READS: [&str; 7] = ["Describe", "Get", "List", "Query", "BatchGet", "Scan", "Search"];
        READS.iter().any(|prefix| self.operation.starts_with(prefix))
    }

    /// Whether both are the same operation of the same function.
    pub fn is_same_operation(&self, other: &Self) -> bool {
        (&self.role, self.service, &self.operation) == (&other.role, other.service, &other.operation)
    }

    /// The call as people name it: `share-image ec2:ModifyImageAttribute`.
    pub fn name(&self) -> String {
        format!("{} {}:{}", self.role, self.service.prefix(), self.operation)
    }
}

impl Service {
    /// The prefix of its actions in IAM.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::DynamoDb => "dynamodb",
            Self::Ec2 => "ec2",
            Self::Events => "events",
            Self::Kms => "kms",
            Self::Organizations => "organizations",
            Self::Scheduler => "scheduler",
            Self::Sns => "sns",
            Self::States => "states",
        }
    }

    fn of(prefix: &str) -> Option<Self> {
        let all = [
            Self::DynamoDb,
            Self::Ec2,
            Self::Events,
            Self::Kms,
            Self::Organizations,
            Self::Scheduler,
            Self::Sns,
            Self::States,
        ];
        all.into_iter().find(|service| service.prefix() == prefix)
    }
}

impl Request {
    /// The call that the request makes, or what is wrong with it.
    pub(crate) fn call(&self) -> Result<Call, String> {
        let (role, service) = self.signer().ok_or("the request is not signed")?;
        let named = || format!("{service} is not in memory");
        let service = Service::of(service).ok_or_else(named)?;
        let (operation, input) = match (service, &self.target) {
            (_, Some(target)) => (target.rsplit('.').next().unwrap_or_default().to_owned(), self.json()?),
            (Service::Scheduler, None) => self.of_path()?,
            (_, None) => self.of_form()?,
        };
        Ok(Call { role: role.to_owned(), service, operation, input })
    }

    /// The access key, which is the function's name, and the service. Source:
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
    fn signer(&self) -> Option<(&str, &str)> {
        let (_, credential) = self.authorization.split_once("Credential=")?;
        let mut parts = credential.split(',').next()?.split('/');
        Some((parts.next()?, parts.nth(2)?))
    }

    fn json(&self) -> Result<Value, String> {
        if self.body.is_empty() {
            return Ok(Value::Object(Map::new()));
        }
        serde_json::from_slice(&self.body).map_err(|error| error.to_string())
    }

    /// EventBridge Scheduler has REST paths. Source:
    /// <https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html>
    fn of_path(&self) -> Result<(String, Value), String> {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let name = path.strip_prefix("/schedules/").ok_or_else(|| format!("unknown path {path}"))?;
        let verb = match self.method.as_str() {
            "POST" => "Create",
            "PUT" => "Update",
            "DELETE" => "Delete",
            _ => "Get",
        };
        let mut input = self.json()?;
        if let Value::Object(fields) = &mut input {
            fields.insert("Name".to_owned(), decoded(name).into());
            for (name, value) in pairs(query) {
                let mut letters = name.chars();
                let first = letters.next().into_iter().flat_map(char::to_uppercase);
                fields.insert(first.chain(letters).collect(), value.into());
            }
        }
        Ok((format!("{verb}Schedule"), input))
    }

    /// The query protocol: `Filter.1.Name=tag-key` becomes `{"Filter": [{"Name": "tag-key"}]}`.
    fn of_form(&self) -> Result<(String, Value), String> {
        let body = std::str::from_utf8(&self.body).map_err(|error| error.to_string())?;
        let mut input = Value::Object(Map::new());
        for (name, value) in pairs(body) {
            insert(&mut input, &name.split('.').collect::<Vec<_>>(), value);
        }
        let fields = input.as_object_mut().ok_or("the request has no parameters")?;
        fields.remove("Version");
        let operation = fields.remove("Action").ok_or("the request has no Action")?;
        Ok((operation.as_str().unwrap_or_default().to_owned(), input))
    }
}

/// Puts a value at a path; a number in it counts the items of a list from one.
fn insert(place: &mut Value, path: &[&str], value: String) {
    let Some((part, rest)) = path.split_first() else {
        *place = Value::String(value);
        return;
    };
    if let Ok(number) = part.parse::<usize>() {
        let mut items = match place.take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        };
        let index = number.saturating_sub(1);
        items.resize(items.len().max(index + 1), Value::Null);
        items.iter_mut().skip(index).take(1).for_each(|item| insert(item, rest, value.clone()));
        *place = Value::Array(items);
    } else {
        let mut fields = match place.take() {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        insert(fields.entry(*part).or_insert(Value::Null), rest, value);
        *place = Value::Object(fields);
    }
}

fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

/// Decodes `%20` and `+`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| digit.map(char::from));
                let digit = |digit: Option<char>| digit.and_then(|digit| digit.to_digit(16)).unwrap_or(0);
                let [high, low] = digits.map(digit);
                u8::try_from(high * 16 + low).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn signed(service: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=share-image/20260601/eu-west-1/{service}/aws4_request, Signature=1"
        )
    }

    #[test]
    fn a_query_becomes_a_document() {
        let body = b"Action=DescribeImages&Filter.1.Name=tag-key&Filter.1.Value.1=ami-share%3A*&Owner.1=a+b";
        let request = Request { authorization: signed("ec2"), body: body.to_vec(), ..Request::default() };
        let call = request.call().unwrap();
        assert_eq!(call.name(), "share-image ec2:DescribeImages");
        assert_eq!(call.input["Filter"], json!([{ "Name": "tag-key", "Value": ["ami-share:*"] }]));
        assert_eq!(call.input["Owner"], json!(["a b"]));
    }

    #[test]
    fn a_target_names_the_operation_of_a_json_protocol() {
        let request = Request {
            authorization: signed("kms"),
            target: Some("TrentService.GetKeyPolicy".to_owned()),
            body: br#"{"KeyId":"k"}"#.to_vec(),
            ..Request::default()
        };
        let call = request.call().unwrap();
        assert_eq!((call.operation.as_str(), &call.input), ("GetKeyPolicy", &json!({ "KeyId": "k" })));
        assert!(call.is_read());
    }

    #[test]
    fn a_path_names_the_schedule() {
        let request = Request {
            authorization: signed("scheduler"),
            method: "DELETE".to_owned(),
            path: "/schedules/ami-1-expiry?groupName=ami-share&clientToken=t".to_owned(),
            ..Request::default()
        };
        let call = request.call().unwrap();
        assert_eq!(call.operation, "DeleteSchedule");
        assert_eq!(call.input["Name"], "ami-1-expiry");
        assert_eq!(call.input["GroupName"], "ami-share");
    }
}
