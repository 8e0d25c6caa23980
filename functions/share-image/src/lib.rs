//! `share-image`: grants an image and its snapshots to the targets that its keys allow, and revokes managed access that
//! is no longer desired.
//!
//! Holds the image's lease; does nothing when a later intent has taken over; records what it is about to grant before
//! it grants it. It never adds `all`, and revokes nothing that the ledger does not call managed.

mod apply;
mod other_images;
mod request;
mod revoked;

use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;

use ami_share_aws::ec2::permissions::PermissionReader;
use ami_share_aws::error::AwsError;
use ami_share_aws::ledger::leases::{Lease, Leases};
use ami_share_aws::ledger::reader::LedgerReader;
use ami_share_aws::ledger::writer::LedgerWriter;
use ami_share_aws::retry;
use ami_share_domain::ids::{AccountId, SnapshotId};
use ami_share_domain::image::decision::{ImageDecision, PlanSettings};
use ami_share_domain::image::desired::{DesiredState, Share};
use ami_share_domain::image::ledger::ImageLedger;
use ami_share_domain::image::plan::ObservedImage;
use ami_share_domain::image::request::{ImageRequest, ShareResult};
use ami_share_domain::image::usage::UsageQuestion;
use ami_share_domain::metrics;
use ami_share_lambda::{About, Clients, Environment, Failure, Function, Invocation};
use jiff::SignedDuration;

use crate::apply::ImageWriter;
use crate::other_images::OtherImages;
use crate::request::refusals;

/// How long the notifications of a revocation wait for a usage report: a little longer than the workflow polls for it.
const REPORT_PATIENCE: SignedDuration = SignedDuration::from_mins(6);

/// The function.
pub struct ShareImage {
    permissions: PermissionReader,
    others: OtherImages,
    ledger: LedgerReader,
    leases: Leases,
    clients: Clients,
    table: String,
    hub: AccountId,
    plan_settings: PlanSettings,
    warns_if_in_use: bool,
}

/// The actual state of an image, and what the ledger records of it.
struct Observed {
    image: ObservedImage,
    ledger: ImageLedger,
}

impl Function for ShareImage {
    type Request = ImageRequest;
    type Response = ShareResult;

    async fn start(environment: &Environment, clients: &Clients) -> Result<Self, Failure> {
        let table = environment.text("LEDGER_TABLE")?;
        Ok(Self {
            permissions: clients.permission_reader(),
            others: OtherImages { images: clients.image_reader(), ledger: clients.ledger_reader(&table) },
            ledger: clients.ledger_reader(&table),
            leases: clients.leases(&table),
            clients: clients.clone(),
            table,
            hub: environment.parsed("HUB_ACCOUNT_ID", str::parse)?,
            plan_settings: PlanSettings {
                limit: environment.parsed("MAX_TARGETS_PER_IMAGE", str::parse)?,
                makes_private: environment.parsed("MAKE_PUBLIC_IMAGES_PRIVATE", str::parse)?,
            },
            warns_if_in_use: environment.parsed("WARN_IF_IN_USE", str::parse)?,
        })
    }

    fn about(request: &ImageRequest) -> About {
        About::image(&request.share.desired.image.id)
    }

    async fn handle(&self, request: ImageRequest, invocation: &Invocation) -> Result<ShareResult, Failure> {
        if request.share.run.dry_run {
            return self.dry_run(request).await;
        }
        let lease = self.leases.of_image(&request.share.desired.image.id, invocation.id()).await?;
        let result = self.reconcile(request, &lease, invocation).await;
        lease.release().await;
        result
    }
}

impl ShareImage {
    /// What would be done; `shared` are the targets that would have access then.
    async fn dry_run(&self, request: ImageRequest) -> Result<ShareResult, Failure> {
        let observed = self.observe(&request.share).await?;
        let decision = ImageDecision::of(&request, &observed.image, &observed.ledger, self.plan_settings);
        Ok(ShareResult {
            plan: decision.plan.steps().map(ToString::to_string).collect(),
            keys_to_revoke: request.keys_to_revoke(),
            failed: request.first_failed().cloned(),
            ..ShareResult::of(request.share.clone(), &decision.shared, decision.refused)
        })
    }

    /// Makes the actual state the desired one, and records the result.
    async fn reconcile(
        &self,
        request: ImageRequest,
        lease: &Lease,
        invocation: &Invocation,
    ) -> Result<ShareResult, Failure> {
        let share = &request.share;
        let mut observed = self.observe(share).await?;
        if is_superseded(share, &observed) {
            return Ok(ShareResult::superseded(request.share));
        }
        let decision = ImageDecision::of(&request, &observed.image, &observed.ledger, self.plan_settings);
        let usage_report = self.request_usage_report(&share.desired, &observed.ledger, lease).await?;
        let steps = decision.plan.steps().count();
        let (result, failure) = self.apply(&request, decision, &mut observed, lease, invocation).await?;
        let result = ShareResult { usage_report, ..result };
        let recorded = self.record(&result, &observed.ledger, lease, invocation).await;
        if let Some(failure) = failure {
            return Err(failure.into());
        }
        recorded?;
        tracing::info!(
            shared = result.shared.len(),
            revoked = result.revoked.len(),
            restored = result.restored.len(),
            unmanaged = result.unmanaged.len(),
            refused = result.refused.len(),
            steps,
            "reconciled"
        );
        Ok(result)
    }

    /// The permissions of an image of another account can be neither read nor changed: none of them is managed.
    async fn observe(&self, share: &Share) -> Result<Observed, Failure> {
        let desired = &share.desired;
        let id = &desired.image.id;
        let ledger = self.ledger.image(id).await?;
        if desired.image.owner != self.hub {
            return Ok(Observed { image: ObservedImage::default(), ledger });
        }
        let snapshots: BTreeSet<SnapshotId> =
            desired.snapshots.iter().chain(ledger.snapshots.keys()).cloned().collect();
        let image = self.settled(share, &snapshots, &ledger).await?;
        Ok(Observed { image, ledger })
    }

    /// Reads the permissions. EC2 is eventually consistent: while they contradict what the ledger records, they are read
    /// again, a bounded number of times; then they are believed.
    async fn settled(
        &self,
        share: &Share,
        snapshots: &BTreeSet<SnapshotId>,
        ledger: &ImageLedger,
    ) -> Result<ObservedImage, AwsError> {
        let image = &share.desired.image.id;
        let read = async || self.permissions.observe(image, snapshots).await;
        let agrees = |observed: &ObservedImage| !ledger.contradicts(share, observed);
        retry::READ_BACK.read_until(&self.clients.clock(), read, agrees).await
    }

    /// Makes the calls of the plan, and returns the result with what failed. A target that EC2 rejects is refused, and
    /// counts as neither revoked nor restored. One that may or may not have access is in no part of the result.
    async fn apply(
        &self,
        request: &ImageRequest,
        decision: ImageDecision<'_>,
        observed: &mut Observed,
        lease: &Lease,
        invocation: &Invocation,
    ) -> Result<(ShareResult, Option<AwsError>), Failure> {
        let writer = ImageWriter {
            request,
            observed: &observed.image,
            lease,
            reader: &self.permissions,
            others: &self.others,
            permissions: self.clients.permission_writer(),
            ledger: self.ledger_writer(),
            clock: self.clients.clock(),
            invocation: invocation.id(),
            appended: AtomicUsize::new(0),
        };
        writer.write_ahead(&decision, &mut observed.ledger).await?;
        let done = writer.apply(&decision).await;
        let ImageDecision { mut shared, mut refused, plan, pending_revocation, restored, unmanaged, .. } =
            decision;
        refused.extend(refusals(&mut shared, &done.rejected));
        let added = plan.launch_permissions();
        shared.retain(|target| {
            !added.contains(&target.launch_permission()) || done.granted.contains(target.name())
        });
        let is_rejected =
            |target: &String| done.rejected.iter().any(|rejected| rejected.permission.name() == *target);
        let has_ended = |target: &String| !done.not_revoked.contains(target);
        let result = ShareResult {
            revoked: pending_revocation.into_iter().filter(has_ended).collect(),
            restored: restored.into_iter().filter(|target| !is_rejected(target)).collect(),
            made_private: writer.made_private(&plan),
            unmanaged: self.others.without_managed(&request.share.desired.image.id, unmanaged).await,
            keys_to_revoke: request.keys_to_revoke(),
            failed: request.first_failed().cloned(),
            ..ShareResult::of(request.share.clone(), &shared, refused)
        };
        Ok((result, done.failure()))
    }

    /// Writes the rows that the result changes.
    async fn record(
        &self,
        result: &ShareResult,
        ledger: &ImageLedger,
        lease: &Lease,
        invocation: &Invocation,
    ) -> Result<(), Failure> {
        let share = &result.share;
        let granted_at = self.clients.clock().now();
        let (rows, gone) = ledger.rows_after(result, granted_at);
        self.ledger_writer().write_shares(&share.desired.image.id, &rows, &gone, lease).await?;
        invocation.measure(&metrics::of_grants(&share.run, &rows, granted_at));
        Ok(())
    }

    /// Asks AWS, where the stack's parameters say so, whether the accounts that are about to lose access still use the
    /// image. The report comes later, and nothing waits for it here. A failure stops no revocation.
    async fn request_usage_report(
        &self,
        desired: &DesiredState,
        ledger: &ImageLedger,
        lease: &Lease,
    ) -> Result<Option<UsageQuestion>, Failure> {
        let image = &desired.image.id;
        if !self.warns_if_in_use || ledger.pending_revocation(desired).is_empty() {
            return Ok(None);
        }
        let accounts: Vec<AccountId> = ledger.accounts_losing_access(desired).into_iter().collect();
        lease.renew().await?;
        let requested = self.clients.usage_report_writer().ask(image, &accounts).await;
        let requested = requested.inspect_err(|error| tracing::warn!(%error, "no usage report"));
        let Some(report_id) = requested.ok().flatten() else { return Ok(None) };
        lease.renew().await?;
        let until = self.clients.clock().now() + REPORT_PATIENCE;
        self.ledger_writer().wait_for_report(image, &report_id, until).await?;
        Ok(Some(UsageQuestion { report_id, accounts }))
    }

    fn ledger_writer(&self) -> LedgerWriter {
        self.clients.ledger_writer(&self.table)
    }
}

/// Whether another reconciliation does all that is to be done.
fn is_superseded(share: &Share, observed: &Observed) -> bool {
    if observed.ledger.supersedes(share) {
        tracing::info!(intent = share.run.intent, "a later intent has taken over");
        return true;
    }
    let is_gone = observed.image.is_gone && share.desired.revocation_reason.is_none();
    if is_gone {
        tracing::info!("the image is gone; its event `deregistered` ends the shares");
    }
    is_gone
}
