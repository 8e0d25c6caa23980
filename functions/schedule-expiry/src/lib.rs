//! `schedule-expiry`: keeps the appointments of one image, the end of its shares and the warning before it.
//!
//! Takes the image's turn; does nothing when a later intent has taken over, and asks nothing of Scheduler when
//! the appointments are as they should be. An appointment that fires for nothing does no harm: it is a look.

use ami_share_aws::executions::ExecutionStarter;
use ami_share_aws::ledger::leases::{Lease, Leases};
use ami_share_aws::ledger::reader::LedgerReader;
use ami_share_aws::schedules::{ScheduleSettings, ScheduleWriter};
use ami_share_domain::ids::ImageId;
use ami_share_domain::image;
use ami_share_domain::image::desired::Share;
use ami_share_domain::image::schedule::{ScheduleKind, ScheduleStep, Schedules};
use ami_share_lambda::{About, Clients, Environment, Failure, Function, Invocation};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The function.
pub struct ScheduleExpiry {
    ledger: LedgerReader,
    leases: Leases,
    clients: Clients,
    table: String,
    settings: ScheduleSettings,
}

/// What it is invoked with: the output of `resolve-share`.
#[derive(Debug, Deserialize)]
pub struct ExpiryRequest {
    /// What is wanted.
    share: Share,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Scheduled {
    /// The appointments that the image has now (in a dry run: would have).
    schedules: Schedules,
    /// Whether anything had to be changed.
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
        About::image(&request.share.image.id)
    }

    async fn handle(&self, request: ExpiryRequest, invocation: &Invocation) -> Result<Scheduled, Failure> {
        let share = request.share;
        let now = Timestamp::now();
        let desired = image::schedule::desired(&share, now);
        if share.dry_run {
            return Ok(Scheduled { schedules: desired, changed: false });
        }
        let lease = self.leases.of_image(&share.image.id, invocation.id()).await?;
        let scheduled = self.keep(&share, desired, now, &lease).await;
        lease.release().await;
        scheduled
    }
}

impl ScheduleExpiry {
    async fn keep(
        &self,
        share: &Share,
        desired: Schedules,
        now: Timestamp,
        lease: &Lease,
    ) -> Result<Scheduled, Failure> {
        let image = &share.image.id;
        let ledger = self.ledger.image(image).await?;
        if ledger.supersedes(share) {
            tracing::info!(intent = share.intent, "a later intent has taken over");
            return Ok(Scheduled { schedules: ledger.schedules, changed: false });
        }
        let steps = image::schedule::plan(&ledger.schedules, &desired, now);
        let (writer, starter) =
            (self.clients.schedule_writer(self.settings.clone()), self.clients.execution_starter());
        let recorder = self.clients.ledger_writer(&self.table);
        if !steps.is_empty() {
            lease.renew().await?;
            let meanwhile = image::schedule::while_applying(&steps, &ledger.schedules);
            recorder.set_schedules(image, &meanwhile).await?;
        }
        for step in &steps {
            lease.renew().await?;
            self.take(image, step, &writer, &starter, lease).await?;
        }
        if !steps.is_empty() {
            lease.renew().await?;
            recorder.set_schedules(image, &desired).await?;
            tracing::info!(
                end = desired.end.map(|end| end.to_string()),
                warning = desired.warning.map(|warning| warning.to_string()),
                "scheduled"
            );
        }
        Ok(Scheduled { schedules: desired, changed: !steps.is_empty() })
    }

    async fn take(
        &self,
        image: &ImageId,
        step: &ScheduleStep,
        writer: &ScheduleWriter,
        starter: &ExecutionStarter,
        lease: &Lease,
    ) -> Result<(), Failure> {
        match *step {
            ScheduleStep::Cancel { schedule_kind } => writer.cancel(&name(image, schedule_kind)).await?,
            ScheduleStep::Set { schedule_kind, minute, moment } => {
                let input = reconcile(image, moment).to_string();
                if !writer.set(&name(image, schedule_kind), minute, &input).await? {
                    lease.renew().await?;
                    self.start(image, schedule_kind, moment, starter).await?;
                }
            }
            ScheduleStep::Start { schedule_kind, moment } => {
                self.start(image, schedule_kind, moment, starter).await?;
            }
        }
        Ok(())
    }

    /// The workflow waits by itself. Its name keeps it from being started twice for one moment.
    async fn start(
        &self,
        image: &ImageId,
        schedule_kind: ScheduleKind,
        moment: Timestamp,
        starter: &ExecutionStarter,
    ) -> Result<(), Failure> {
        let name = format!("{}-{}", name(image, schedule_kind), moment.as_millisecond());
        starter.start(&self.settings.workflow, Some(&name), &reconcile(image, moment)).await?;
        Ok(())
    }
}

/// The name of an appointment, the same for the image's whole life.
fn name(image: &ImageId, schedule_kind: ScheduleKind) -> String {
    format!("{image}-{}", schedule_kind.name())
}

fn reconcile(image: &ImageId, moment: Timestamp) -> Value {
    json!({ "image_id": image, "not_before": moment })
}
