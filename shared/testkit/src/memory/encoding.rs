//! How an answer is written in the protocol of its service.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::memory::answer::{Answer, Refused};
use crate::memory::request::{Call, Service};

/// An HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

impl Response {
    /// The answer to a request that is none.
    pub(crate) fn unreadable(problem: String) -> Self {
        Self { status: 501, headers: Vec::new(), body: problem }
    }
}

/// The answer to the call of this number.
pub(crate) fn encode(call: &Call, number: usize, answer: &Answer) -> Response {
    let request_id = format!("request-{number}");
    let (status, body) = match (call.service, answer) {
        (Service::Ec2 | Service::Sns, Ok(document)) => (200, xml_answer(call, document, &request_id)),
        (Service::Ec2 | Service::Sns, Err(refused)) => {
            (refused.status, xml_error(call.service, refused, &request_id))
        }
        (_, Ok(document)) => (200, document.to_string()),
        (_, Err(refused)) => (refused.status, json_error(refused)),
    };
    let mut headers = vec![("x-amzn-requestid", request_id)];
    if let Err(refused) = answer {
        headers.push(("x-amzn-errortype", refused.code.clone()));
    }
    Response { status, headers, body }
}

/// Source: <https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization>
fn json_error(refused: &Refused) -> String {
    let mut error = json!({ "__type": refused.code, "message": refused.message, "Message": refused.message });
    if let (Value::Object(error), Some(Value::Object(details))) = (&mut error, refused.details.as_deref()) {
        error.extend(details.clone());
    }
    error.to_string()
}

/// Sources: <https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html>,
/// <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>
fn xml_answer(call: &Call, document: &Value, request_id: &str) -> String {
    let name = &call.operation;
    let mut body = String::new();
    write_fields(&mut body, document, call.service == Service::Ec2);
    match call.service {
        Service::Ec2 => {
            format!("<{name}Response><requestId>{request_id}</requestId>{body}</{name}Response>")
        }
        _ => format!(
            "<{name}Response><{name}Result>{body}</{name}Result><ResponseMetadata><RequestId>{request_id}\
             </RequestId></ResponseMetadata></{name}Response>"
        ),
    }
}

fn xml_error(service: Service, refused: &Refused, request_id: &str) -> String {
    let (code, message) = (escaped(&refused.code), escaped(&refused.message));
    match service {
        Service::Ec2 => format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>\
             <RequestID>{request_id}</RequestID></Response>"
        ),
        _ => format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
             <RequestId>{request_id}</RequestId></ErrorResponse>"
        ),
    }
}

fn write_fields(xml: &mut String, document: &Value, wraps_items: bool) {
    for (name, value) in document.as_object().unwrap_or(&Map::new()) {
        match value {
            Value::Array(items) if wraps_items => {
                let _ = write!(xml, "<{name}>");
                items.iter().for_each(|item| write_element(xml, "item", item, wraps_items));
                let _ = write!(xml, "</{name}>");
            }
            Value::Array(items) => items.iter().for_each(|item| write_element(xml, name, item, wraps_items)),
            value => write_element(xml, name, value, wraps_items),
        }
    }
}

fn write_element(xml: &mut String, name: &str, value: &Value, wraps_items: bool) {
    let _ = write!(xml, "<{name}>");
    match value {
        Value::Object(_) => write_fields(xml, value, wraps_items),
        Value::String(text) => xml.push_str(&escaped(text)),
        other => xml.push_str(&other.to_string()),
    }
    let _ = write!(xml, "</{name}>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
