//! `schedule-expiry`: keeps the appointments of one image, the end of its shares and the warning before it.
//!
//! Takes the image's turn; does nothing when a later intent has taken over, and asks nothing of Scheduler when
//! the appointments are as they should be. An appointment that fires for nothing does no harm: it is a look.

use ami_share_aws::executions::ExecutionStarter;
use ami_share_aws::ledger_reader::LedgerReader;
use ami_share_aws::schedules::{AppointmentWriter, Appointments as Schedules};
use ami_share_aws::turns::{Turn, Turns};
use ami_share_domain::appointments::{self, AppointmentStep, Appointments, Occasion};
use ami_share_domain::ids::ImageId;
use ami_share_domain::share::Share;
use ami_share_lambda::{About, Clients, Environment, Failure, Function, Invocation};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The function.
pub struct ScheduleExpiry {
    ledger: LedgerReader,
    turns: Turns,
    clients: Clients,
    table: String,
    schedules: Schedules,
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
    appointments: Appointments,
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
            turns: clients.turns(&table),
            clients: clients.clone(),
            table,
            schedules: Schedules {
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
        let wanted = appointments::wanted(&share, now);
        if share.dry_run {
            return Ok(Scheduled { appointments: wanted, changed: false });
        }
        let turn = self.turns.of_image(&share.image.id, invocation.id()).await?;
        let scheduled = self.keep(&share, wanted, now, &turn).await;
        turn.release().await;
        scheduled
    }
}

impl ScheduleExpiry {
    async fn keep(
        &self,
        share: &Share,
        wanted: Appointments,
        now: Timestamp,
        turn: &Turn,
    ) -> Result<Scheduled, Failure> {
        let image = &share.image.id;
        let ledger = self.ledger.image(image).await?;
        if ledger.supersedes(share) {
            tracing::info!(intent = share.intent, "a later intent has taken over");
            return Ok(Scheduled { appointments: ledger.appointments, changed: false });
        }
        let steps = appointments::plan(&ledger.appointments, &wanted, now);
        let (writer, starter) =
            (self.clients.appointment_writer(self.schedules.clone()), self.clients.execution_starter());
        let recorder = self.clients.ledger_writer(&self.table);
        if !steps.is_empty() {
            turn.renew().await?;
            let meanwhile = appointments::while_taking(&steps, &ledger.appointments);
            recorder.set_appointments(image, &meanwhile).await?;
        }
        for step in &steps {
            turn.renew().await?;
            self.take(image, step, &writer, &starter, turn).await?;
        }
        if !steps.is_empty() {
            turn.renew().await?;
            recorder.set_appointments(image, &wanted).await?;
            tracing::info!(
                end = wanted.end.map(|end| end.to_string()),
                warning = wanted.warning.map(|warning| warning.to_string()),
                "scheduled"
            );
        }
        Ok(Scheduled { appointments: wanted, changed: !steps.is_empty() })
    }

    async fn take(
        &self,
        image: &ImageId,
        step: &AppointmentStep,
        writer: &AppointmentWriter,
        starter: &ExecutionStarter,
        turn: &Turn,
    ) -> Result<(), Failure> {
        match *step {
            AppointmentStep::Cancel { occasion } => writer.cancel(&name(image, occasion)).await?,
            AppointmentStep::Set { occasion, minute, moment } => {
                let input = look_at(image, moment).to_string();
                if !writer.set(&name(image, occasion), minute, &input).await? {
                    turn.renew().await?;
                    self.start(image, occasion, moment, starter).await?;
                }
            }
            AppointmentStep::Start { occasion, moment } => {
                self.start(image, occasion, moment, starter).await?;
            }
        }
        Ok(())
    }

    /// The workflow waits by itself. Its name keeps it from being started twice for one moment.
    async fn start(
        &self,
        image: &ImageId,
        occasion: Occasion,
        moment: Timestamp,
        starter: &ExecutionStarter,
    ) -> Result<(), Failure> {
        let name = format!("{}-{}", name(image, occasion), moment.as_millisecond());
        starter.start(&self.schedules.workflow, Some(&name), &look_at(image, moment)).await?;
        Ok(())
    }
}

/// The name of an appointment, the same for the image's whole life.
fn name(image: &ImageId, occasion: Occasion) -> String {
    format!("{image}-{}", occasion.name())
}

fn look_at(image: &ImageId, moment: Timestamp) -> Value {
    json!({ "image_id": image, "not_before": moment })
}
