//! Start-up that every function shares: environment, logs, metrics, errors, and the loop that serves requests.
//!
//! A function's `main.rs` is one line, [`run`]; its `lib.rs` implements [`Function`].

pub mod environment;
pub mod events;
pub mod failure;
pub mod invocation;

mod log;
mod metrics;

use lambda_runtime::{Context, Diagnostic, LambdaEvent, Runtime, service_fn};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::Instrument;

pub use crate::environment::Environment;
pub use crate::failure::Failure;
pub use crate::invocation::{About, Invocation};
pub use ami_share_aws::clients::Clients;

use crate::invocation::Payload;

/// One Lambda function.
pub trait Function: Sized {
    /// What it is invoked with.
    type Request: DeserializeOwned;
    /// What it returns.
    type Response: Serialize;

    /// Builds the function once, at a cold start.
    ///
    /// # Errors
    /// When a variable of the environment is missing or invalid.
    fn start(environment: &Environment, clients: &Clients) -> impl Future<Output = Result<Self, Failure>>;

    /// What a request is about, for its log lines and metrics. The execution need not be named: the workflows name it in
    /// their envelope.
    fn about(request: &Self::Request) -> About;

    /// Serves one request, and counts in `invocation` what it did.
    ///
    /// # Errors
    /// When it failed. The workflow decides by the error type whether to retry.
    fn handle(
        &self,
        request: Self::Request,
        invocation: &Invocation,
    ) -> impl Future<Output = Result<Self::Response, Failure>>;
}

/// Serves requests until Lambda ends the process.
///
/// # Errors
/// When the function cannot start, or the Lambda runtime fails.
pub async fn run<F: Function>() -> Result<(), lambda_runtime::Error> {
    log::init();
    let environment = Environment::of_process();
    let clients = &Clients::load(environment.text_or_empty("ENDPOINT_URL")).await;
    let started = F::start(&environment, clients).await;
    let function = &started.inspect_err(|error| tracing::error!(%error, "the function cannot start"))?;
    let service = service_fn(move |event: LambdaEvent<Value>| async move {
        let (payload, context) = event.into_parts();
        serve(function, clients, &payload, &context).await
    });
    // Without the runtime's own span, which would repeat the request's id around the span of the invocation.
    Runtime::new(service).run().await
}

/// Serves one request. Its calls are counted even if it fails.
async fn serve<F: Function>(
    function: &F,
    clients: &Clients,
    payload: &Value,
    context: &Context,
) -> Result<F::Response, Diagnostic> {
    let (invocation, answer) = invoke(function, payload, context).await;
    metrics::write(&context.env_config.function_name, &invocation, &clients.calls().take());
    answer
}

/// Invokes a function with a payload as Lambda delivers it, and returns what was counted beside the answer.
pub async fn invoke<F: Function>(
    function: &F,
    payload: &Value,
    context: &Context,
) -> (Invocation, Result<F::Response, Diagnostic>) {
    let payload = Payload::read(payload);
    let request = F::Request::deserialize(payload.input);
    let about = request.as_ref().map(F::about).unwrap_or_default();
    let execution = payload.execution.map(str::to_owned).or(about.execution);
    let invocation = Invocation::new(context, About { execution, ..about });
    let served = async {
        let answer = match request {
            // Boxed: the types of the SDK's nested futures exceed the compiler's default depth limit.
            Ok(request) => Box::pin(function.handle(request, &invocation)).await,
            Err(error) => Err(Failure::BadRequest(error.to_string())),
        };
        answer.map_err(|failure| {
            let diagnostic = Diagnostic::from(failure);
            tracing::error!(error_type = diagnostic.error_type, "{}", diagnostic.error_message);
            diagnostic
        })
    };
    let answer = served.instrument(invocation.span()).await;
    (invocation, answer)
}
