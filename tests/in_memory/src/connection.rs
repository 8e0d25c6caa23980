//! The connection of the AWS SDK to the in-memory AWS: an HTTP client without a network, and the clock of both.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use ami_share_lambda::Clients;
use ami_share_testkit::memory::{InMemoryAws, REGION, Reply, Request};
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use jiff::SignedDuration;

/// The in-memory AWS, as everything that calls it shares it.
#[derive(Debug, Clone)]
pub struct SharedAws(Arc<Mutex<InMemoryAws>>);

impl SharedAws {
    /// Shares an AWS.
    pub fn new(aws: InMemoryAws) -> Self {
        Self(Arc::new(Mutex::new(aws)))
    }

    /// The AWS itself, while nothing calls it.
    pub fn lock(&self) -> MutexGuard<'_, InMemoryAws> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection of one runner of workflows.
#[derive(Debug, Clone)]
pub struct Connection {
    aws: SharedAws,
    is_interrupted: Arc<AtomicBool>,
}

impl Connection {
    /// A connection to `aws`.
    pub fn new(aws: &SharedAws) -> Self {
        Self { aws: aws.clone(), is_interrupted: Arc::default() }
    }

    /// Whether a call since the last question interrupted its function.
    pub fn take_interruption(&self) -> bool {
        self.is_interrupted.swap(false, Ordering::SeqCst)
    }

    /// Clients as the functions have them; the access key names the function.
    pub fn clients(&self, function: &'static str) -> Clients {
        let credentials = Credentials::new(function, "secret", None, None, "in-memory");
        // Without the SDK's retries, so that each fault meets the function: what the SDK has left of its budget for
        // retries would go from one run to the next. And without time limits: the clock stands still during a call.
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url("http://aws.test")
            .region(Region::new(REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(
                aws_config::stalled_stream_protection::StalledStreamProtectionConfig::disabled(),
            )
            .time_source(self.clone())
            .sleep_impl(self.clone())
            .http_client(self.clone())
            .build();
        Clients::of(config)
    }
}

impl HttpClient for Connection {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connection {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connection = self.clone();
        HttpConnectorFuture::new(async move {
            let reply = connection.aws.lock().serve(&read(&request));
            match reply {
                Reply::Answered(answer) => {
                    let status = answer.status.try_into().map_err(|_| broken("a bad status"))?;
                    let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
                    for (name, value) in answer.headers {
                        response.headers_mut().insert(name, value);
                    }
                    Ok(response)
                }
                Reply::Unanswered => Err(broken("the connection broke")),
                Reply::Interrupted => {
                    connection.is_interrupted.store(true, Ordering::SeqCst);
                    std::future::pending().await
                }
            }
        })
    }
}

fn broken(what: &'static str) -> ConnectorError {
    ConnectorError::timeout(what.into())
}

fn read(request: &HttpRequest) -> Request {
    let header = |name: &str| request.headers().get(name).map(str::to_owned);
    let path = request.uri().strip_prefix("http://aws.test").unwrap_or(request.uri());
    Request {
        method: request.method().to_owned(),
        path: path.to_owned(),
        target: header("x-amz-target"),
        authorization: header("authorization").unwrap_or_default(),
        body: request.body().bytes().unwrap_or_default().to_vec(),
    }
}

impl TimeSource for Connection {
    fn now(&self) -> SystemTime {
        self.aws.lock().now.into()
    }
}

/// A pause lets the clock go on, and takes no time.
impl AsyncSleep for Connection {
    fn sleep(&self, duration: Duration) -> Sleep {
        let connection = self.clone();
        Sleep::new(async move {
            connection.aws.lock().wait(SignedDuration::try_from(duration).unwrap_or_default());
        })
    }
}
