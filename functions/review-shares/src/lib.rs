//! `review-shares`: finds every image that differs from its tags, starts its reconciliation, and reports who can use what.
//!
//! It changes no access itself. A review is an execution of the review workflow: pages of images, a reconciliation of
//! each image that differs, then the report. The function also serves events that concern many images, a key or a
//! snapshot: it starts the review or the reconciliations that they make necessary.

mod events;
mod pages;
mod reading;
mod report;
mod request;
mod state;

use ami_share_aws::executions::ExecutionStarter;
use ami_share_aws::ledger::reader::LedgerReader;
use ami_share_aws::notifications::topic::Topic;
use ami_share_aws::review_store::ReviewStore;
use ami_share_domain::ids::AccountId;
use ami_share_lambda::{About, Clients, Environment, Failure, Function, Invocation};
use ami_share_resolve::Resolver;

use crate::reading::Reader;
use crate::request::{Answer, ReviewRequest, Task};

/// The function.
pub struct ReviewShares {
    reader: Reader,
    resolver: Resolver,
    ledger: LedgerReader,
    store: ReviewStore,
    topic: Topic,
    starter: ExecutionStarter,
    hub: AccountId,
    region: String,
    bucket: String,
    share_workflow: String,
    review_workflow: String,
}

impl Function for ReviewShares {
    type Request = ReviewRequest;
    type Response = Answer;

    async fn start(environment: &Environment, clients: &Clients) -> Result<Self, Failure> {
        // A review reads a lot and may take its time, so it stays below the account's request rates.
        let clients = clients.adaptive();
        let ledger = clients.ledger_reader(&environment.text("LEDGER_TABLE")?);
        let hub: AccountId = environment.parsed("HUB_ACCOUNT_ID", str::parse)?;
        let bucket = environment.text("REVIEW_BUCKET")?;
        let reader = Reader {
            images: clients.image_reader(),
            keys: clients.key_reader(),
            permissions: clients.permission_reader(),
            ledger: ledger.clone(),
            target_limit: environment.parsed("MAX_TARGETS_PER_IMAGE", str::parse)?,
            makes_private: environment.parsed("MAKE_PUBLIC_IMAGES_PRIVATE", str::parse)?,
            clock: clients.clock(),
            hub: hub.clone(),
        };
        Ok(Self {
            reader,
            resolver: Resolver::start(environment, &clients).await?,
            ledger,
            store: clients.review_store(&bucket),
            topic: clients.topic(&environment.text("NOTIFICATION_TOPIC_ARN")?),
            starter: clients.execution_starter(),
            hub,
            region: clients.region(),
            bucket,
            share_workflow: environment.text("SHARE_WORKFLOW_ARN")?,
            review_workflow: environment.text("REVIEW_WORKFLOW_ARN")?,
        })
    }

    fn about(request: &ReviewRequest) -> About {
        match request {
            ReviewRequest::Task(
                Task::Page { review, state }
                | Task::Continue { review, state }
                | Task::Report { review, state },
            ) => About { review: Some(state.clone().started_by(review).review_id), ..About::default() },
            ReviewRequest::Event(event) => events::about(event),
        }
    }

    async fn handle(&self, request: ReviewRequest, invocation: &Invocation) -> Result<Answer, Failure> {
        match request {
            ReviewRequest::Task(Task::Page { review, state }) => {
                Ok(Answer::Page(Box::new(self.compare_page(state.started_by(&review)).await?)))
            }
            ReviewRequest::Task(Task::Continue { review, state }) => {
                Ok(Answer::Started(self.continue_in_new_execution(state.started_by(&review)).await?))
            }
            ReviewRequest::Task(Task::Report { review, state }) => {
                Ok(Answer::Reported(self.write_report(&state.started_by(&review), invocation).await?))
            }
            ReviewRequest::Event(event) => Ok(Answer::Started(self.handle_event(event, invocation).await?)),
        }
    }
}
