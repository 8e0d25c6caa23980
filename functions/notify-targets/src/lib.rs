//! `notify-targets`: notifies the target accounts and the hub of what a reconciliation did, once, and writes the status.
//!
//! Notifications go to the bus of each target account and to the hub's bus and topic. The function also serves the
//! event of an execution that failed, which could not notify of itself.

mod failed_execution;
mod outcome;
mod request;

use ami_share_aws::ledger::leases::{Lease, Leases};
use ami_share_aws::ledger::reader::LedgerReader;
use ami_share_aws::ledger::writer::LedgerWriter;
use ami_share_aws::notifications::{Addresses, NotificationSender};
use ami_share_domain::ids::{Arn, ImageId};
use ami_share_domain::image::request::NotifyResult;
use ami_share_lambda::{About, Clients, Environment, Failure, Function, Invocation};

use crate::request::NotifyRequest;

/// The function.
pub struct NotifyTargets {
    ledger: LedgerReader,
    leases: Leases,
    sender: NotificationSender,
    clients: Clients,
    table: String,
}

impl Function for NotifyTargets {
    type Request = NotifyRequest;
    type Response = NotifyResult;

    async fn start(environment: &Environment, clients: &Clients) -> Result<Self, Failure> {
        let table = environment.text("LEDGER_TABLE")?;
        let topic = environment.text("NOTIFICATION_TOPIC_ARN")?;
        let addresses = Addresses {
            hub_bus: environment.text("HUB_BUS_NAME")?,
            target_bus: environment.text("TARGET_BUS_NAME")?,
            region: clients.region(),
            partition: Arn::parse(&topic).map_or("aws", |arn| arn.partition).to_owned(),
            topic,
        };
        Ok(Self {
            ledger: clients.ledger_reader(&table),
            leases: clients.leases(&table),
            sender: clients.notification_sender(addresses),
            clients: clients.clone(),
            table,
        })
    }

    fn about(request: &NotifyRequest) -> About {
        request.about()
    }

    async fn handle(&self, request: NotifyRequest, invocation: &Invocation) -> Result<NotifyResult, Failure> {
        match request {
            NotifyRequest::Result(result) if result.superseded => Ok(outcome::superseded(&result)),
            NotifyRequest::Result(result) if result.share.run.dry_run => self.describe(&result).await,
            NotifyRequest::Result(result) => {
                let lease = self.leases.of_image(&result.share.desired.image.id, invocation.id()).await?;
                let notified = self.notify_of_outcome(&result, &lease, invocation).await;
                lease.release().await;
                notified
            }
            NotifyRequest::Failed(failed) if failed.trigger.dry_run => {
                Ok(failed_execution::described(&failed))
            }
            NotifyRequest::Failed(failed) => {
                let lease = self.leases.of_image(&failed.trigger.image, invocation.id()).await?;
                let notified = self.notify_of_failure(&failed, &lease, invocation).await;
                lease.release().await;
                notified
            }
            NotifyRequest::Unreadable { image: _, reason } => Err(Failure::BadRequest(reason)),
        }
    }
}

impl NotifyTargets {
    /// A writer of the ledger for one write: whoever lost the lease meanwhile must not write.
    async fn writer(&self, lease: &Lease) -> Result<LedgerWriter, Failure> {
        lease.renew().await?;
        Ok(self.clients.ledger_writer(&self.table))
    }

    async fn write_status(&self, image: &ImageId, status: &str, lease: &Lease) -> Result<(), Failure> {
        lease.renew().await?;
        Ok(self.clients.status_writer().write(image, status).await?)
    }
}
