//! `schedule-expiry`: keeps the two schedules of one image, for the end of its shares and for the warning before it.
//!
//! It holds the image's lease. It does nothing when a later intent has taken over, and calls Scheduler only when the
//! schedules are not as they should be. A schedule that fires without need does no harm: it starts a reconciliation.

use ami_share_aws::executions::ExecutionStarter;
use ami_share_aws::ledger::leases::{Lease, Leases};
use ami_share_aws::ledger::reader::LedgerReader;
use ami_share_aws::ledger::writer::LedgerWriter;
use ami_share_aws::schedules::{ScheduleSettings, ScheduleWriter};
use ami_share_domain::ids::ImageId;
use ami_share_domain::image;
use ami_share_domain::image::desired::Share;
use ami_share_domain::image::schedule::{ScheduleKind, ScheduleStep, Schedules};
use ami_share_lambda::events::{ReconcileRequest, RunOptions};
use ami_share_lambda::{About, Clients, Environment, Failure, Function, Invocation};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The function.
pub struct ScheduleExpiry {
    ledger: LedgerReader,
    leases: Leases,
    clients: Clients,
    table: String,
    settings: ScheduleSettings,
}

/// What the function is invoked with: the output of `resolve-share`.
#[derive(Debug, Deserialize)]
pub struct ExpiryRequest {
    /// The desired state.
    share: Share,
}

/// What the function returns.
#[derive(Debug, Serialize)]
pub struct Scheduled {
    /// The schedules that the image has now (in a dry run: would have).
    schedules: Schedules,
    /// Whether anything had to change.
    changed: bool,
}

impl Function for ScheduleExpiry {
    type Request = ExpiryRequest;
    type Response = Scheduled;

    async fn start(environment: &Environment, clients: &Clients) -> Result<Self, Failure> {
        let table = environment.text("LEDGER_TABLE")?;
        Ok(Self {
            ledger: clients.ledger_reader(&table),
            leases: clients.leases(&table),
            clients: clients.clone(),
            table,
            settings: ScheduleSettings {
                group: environment.text("SCHEDULE_GROUP")?,
                workflow: environment.text("SHARE_WORKFLOW_ARN")?,
                role: environment.text("SCHEDULE_ROLE_ARN")?,
                dead_letters: Some(environment.text("DEAD_LETTER_QUEUE_ARN")?),
            },
        })
    }

    fn about(request: &ExpiryRequest) -> About {
        About::image(&request.share.desired.image.id)
    }

    async fn handle(&self, request: ExpiryRequest, invocation: &Invocation) -> Result<Scheduled, Failure> {
        let share = request.share;
        let now = self.clients.clock().now();
        let desired = image::schedule::desired(&share.desired, now);
        if share.run.dry_run {
            return Ok(Scheduled { schedules: desired, changed: false });
        }
        let lease = self.leases.of_image(&share.desired.image.id, invocation.id()).await?;
        let scheduled = self.schedule(&share, desired, now, &lease).await;
        lease.release().await;
        scheduled
    }
}

/// What changes schedules, and the ledger's row of them.
struct Writers<'a> {
    schedules: ScheduleWriter,
    executions: ExecutionStarter,
    ledger: LedgerWriter,
    lease: &'a Lease,
}

impl ScheduleExpiry {
    /// Observes the schedules in the ledger, decides which steps lead to the desired ones, and takes them.
    async fn schedule(
        &self,
        share: &Share,
        desired: Schedules,
        now: Timestamp,
        lease: &Lease,
    ) -> Result<Scheduled, Failure> {
        let image = &share.desired.image.id;
        let ledger = self.ledger.image(image).await?;
        if ledger.supersedes(share) {
            tracing::info!(intent = share.run.intent, "a later intent has taken over");
            return Ok(Scheduled { schedules: ledger.schedules, changed: false });
        }
        let steps = image::schedule::plan(&ledger.schedules, &desired, now);
        if steps.is_empty() {
            return Ok(Scheduled { schedules: desired, changed: false });
        }
        self.apply(image, &steps, &ledger.schedules, &desired, lease).await?;
        tracing::info!(
            end = desired.end.map(|end| end.to_string()),
            warning = desired.warning.map(|warning| warning.to_string()),
            "scheduled"
        );
        Ok(Scheduled { schedules: desired, changed: true })
    }

    /// Records before the first step that the schedules are uncertain, and after the last one that they are as desired.
    async fn apply(
        &self,
        image: &ImageId,
        steps: &[ScheduleStep],
        made: &Schedules,
        desired: &Schedules,
        lease: &Lease,
    ) -> Result<(), Failure> {
        let writers = Writers {
            schedules: self.clients.schedule_writer(self.settings.clone()),
            executions: self.clients.execution_starter(),
            ledger: self.clients.ledger_writer(&self.table),
            lease,
        };
        lease.renew().await?;
        writers.ledger.set_schedules(image, &image::schedule::in_progress(steps, made)).await?;
        for step in steps {
            lease.renew().await?;
            self.take(image, step, &writers).await?;
        }
        lease.renew().await?;
        Ok(writers.ledger.set_schedules(image, desired).await?)
    }

    async fn take(&self, image: &ImageId, step: &ScheduleStep, writers: &Writers<'_>) -> Result<(), Failure> {
        match *step {
            ScheduleStep::Cancel { kind } => {
                writers.schedules.cancel(&name(image, kind)).await?;
            }
            ScheduleStep::Set { kind, minute, moment } => {
                let input = reconcile_at(image, moment)?.to_string();
                // Scheduler refuses a minute that is over by now.
                if !writers.schedules.set(&name(image, kind), minute, &input).await? {
                    writers.lease.renew().await?;
                    self.start(image, kind, moment, &writers.executions).await?;
                }
            }
            ScheduleStep::Start { kind, moment } => {
                self.start(image, kind, moment, &writers.executions).await?;
            }
        }
        Ok(())
    }

    /// The workflow itself waits for the moment. The execution's name keeps it from being started twice for one moment.
    async fn start(
        &self,
        image: &ImageId,
        kind: ScheduleKind,
        moment: Timestamp,
        starter: &ExecutionStarter,
    ) -> Result<(), Failure> {
        let name = format!("{}-{}", name(image, kind), moment.as_millisecond());
        starter.start(&self.settings.workflow, Some(&name), &reconcile_at(image, moment)?).await?;
        Ok(())
    }
}

/// The name of a schedule, the same for the image's whole life.
fn name(image: &ImageId, kind: ScheduleKind) -> String {
    format!("{image}-{}", kind.name())
}

/// The input of an execution that waits for `moment`.
fn reconcile_at(image: &ImageId, moment: Timestamp) -> Result<Value, Failure> {
    let options = RunOptions { not_before: Some(moment), ..RunOptions::default() };
    let request = ReconcileRequest { options, ..ReconcileRequest::new(image.clone()) };
    serde_json::to_value(request).map_err(|error| Failure::BadRequest(error.to_string()))
}
