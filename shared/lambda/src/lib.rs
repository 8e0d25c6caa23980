//! Start-up that every function shares: environment, logs, errors, and the loop that serves requests.
//!
//! A function's `main.rs` is one line, [`run`]; its `lib.rs` implements [`Function`].

pub mod environment;
pub mod failure;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing_subscriber::EnvFilter;

pub use crate::environment::Environment;
pub use crate::failure::Failure;
pub use ami_share_aws::clients::Clients;

/// One Lambda function.
pub trait Function: Sized {
    /// What it is invoked with.
    type Request: DeserializeOwned;
    /// What it answers.
    type Response: Serialize;

    /// Builds the function once, at a cold start.
    ///
    /// # Errors
    /// When the environment lacks or garbles a variable.
    fn start(environment: &Environment, clients: &Clients) -> impl Future<Output = Result<Self, Failure>>;

    /// Serves one request. `invocation` is unique to it.
    ///
    /// # Errors
    /// When it could not be served; the workflow decides by the error's type whether to try again.
    fn handle(
        &self,
        request: Self::Request,
        invocation: &str,
    ) -> impl Future<Output = Result<Self::Response, Failure>>;
}

/// Serves requests until Lambda ends the process.
///
/// # Errors
/// When the function cannot start, or the Lambda runtime fails.
pub async fn run<F: Function>() -> Result<(), lambda_runtime::Error> {
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(EnvFilter::from_default_env())
        .with_current_span(true)
        .init();
    let clients = Clients::load().await;
    let started = F::start(&Environment::of_process(), &clients).await;
    let function = &started.inspect_err(|error| tracing::error!(%error, "cannot start"))?;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let answer = serve(function, &event.payload, &event.context.request_id).await;
        answer.map_err(|failure| {
            let diagnostic = Diagnostic::from(failure);
            tracing::error!(
                request = event.context.request_id,
                error_type = diagnostic.error_type,
                "{}",
                diagnostic.error_message
            );
            diagnostic
        })
    }))
    .await
}

async fn serve<F: Function>(function: &F, payload: &Value, invocation: &str) -> Result<F::Response, Failure> {
    let request = F::Request::deserialize(payload).map_err(|error| Failure::BadRequest(error.to_string()))?;
    // Boxed: the types of the SDK's nested futures are deeper than the compiler's default limit.
    Box::pin(function.handle(request, invocation)).await
}
