//! One invocation: what it is about (in each of its log lines), and what it counted.

use std::sync::{Mutex, PoisonError};

use ami_share_domain::ids::ImageId;
use ami_share_domain::metrics::Measurements;
use lambda_runtime::Context;
use serde_json::Value;
use tracing::Span;

/// What a request is about, as far as it names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The image.
    pub image: Option<ImageId>,
    /// The review.
    pub review: Option<String>,
    /// The execution that an event reports, where no workflow invokes the function.
    pub execution: Option<String>,
}

impl About {
    /// A request that is about one image.
    pub fn image(image: &ImageId) -> Self {
        Self { image: Some(image.clone()), ..Self::default() }
    }
}

/// One invocation of a function.
#[derive(Debug)]
pub struct Invocation {
    id: String,
    about: About,
    trace: Option<String>,
    measured: Mutex<Measurements>,
}

impl Invocation {
    pub(crate) fn new(context: &Context, about: About) -> Self {
        let trace = context.xray_trace_id.as_deref().and_then(sampled_trace);
        let id = context.request_id.clone();
        Self { id, about, trace, measured: Mutex::default() }
    }

    /// Lambda's id of the request, unique to this invocation.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Counts what was done. The counts stay if the invocation fails later.
    pub fn measure(&self, measured: &Measurements) {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).extend(measured);
    }

    /// The counts so far.
    pub(crate) fn measured(&self) -> Measurements {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The span of the whole invocation, enabled at every log level.
    pub(crate) fn span(&self) -> Span {
        let About { image, review, execution } = &self.about;
        let image = image.as_ref().map(ImageId::as_str);
        tracing::error_span!("invocation", request = self.id, execution, image, review, trace = self.trace)
    }

    /// What identifies this invocation, under the names that log lines use.
    pub(crate) fn properties(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let About { image, review, execution } = &self.about;
        let properties = [
            ("request", Some(self.id.as_str())),
            ("execution", execution.as_deref()),
            ("image", image.as_ref().map(ImageId::as_str)),
            ("review", review.as_deref()),
        ];
        properties.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}

/// A payload as Lambda delivers it. The workflows wrap the document of a step in an envelope that names the execution
/// (`Parameters` in `workflows/`); any other payload is the document itself.
#[derive(Debug)]
pub(crate) struct Payload<'a> {
    pub(crate) execution: Option<&'a str>,
    pub(crate) input: &'a Value,
}

impl<'a> Payload<'a> {
    pub(crate) fn read(payload: &'a Value) -> Self {
        let fields = payload.as_object().filter(|fields| fields.len() == 2);
        let execution = fields.and_then(|fields| fields.get("execution")).and_then(Value::as_str);
        match (execution, fields.and_then(|fields| fields.get("input"))) {
            (Some(execution), Some(input)) => Self { execution: Some(execution), input },
            _ => Self { execution: None, input: payload },
        }
    }
}

/// The id of a sampled X-Ray trace; X-Ray does not keep the others. Source:
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
fn sampled_trace(header: &str) -> Option<String> {
    let value = |name: &str| header.split(';').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    value("Root").filter(|_| value("Sampled") == Some("1")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_envelope_that_a_workflow_adds_to_a_document_is_removed() {
        let around = json!({ "execution": "arn:aws:states:…", "input": { "image_id": "ami-1" } });
        let payload = Payload::read(&around);
        assert_eq!(payload.execution, Some("arn:aws:states:…"));
        assert_eq!(*payload.input, json!({ "image_id": "ami-1" }));
        for bare in [
            json!({ "image_id": "ami-1" }),
            json!({ "execution": "arn", "input": {}, "id": "an event of another source" }),
            json!({ "execution": 1, "input": {} }),
            json!({ "input": {}, "output": {} }),
            json!(null),
        ] {
            let payload = Payload::read(&bare);
            assert_eq!((payload.execution, payload.input), (None, &bare));
        }
    }

    #[test]
    fn a_trace_id_is_logged_only_if_the_trace_is_sampled() {
        let header = |sampled| {
            format!("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled={sampled}")
        };
        assert_eq!(sampled_trace(&header(1)).as_deref(), Some("1-5759e988-bd862e3fe1be46a994272793"));
        assert_eq!(sampled_trace(&header(0)), None);
        assert_eq!(sampled_trace("Root=1-5759e988-bd862e3fe1be46a994272793"), None);
    }
}
