//! `share-image`: opens an image and its snapshots to the targets that its keys admit, and closes them to
//! those whom ami-share gave them to and nobody wants any more.
//!
//! Takes the image's turn; does nothing when a later intent has taken over; writes into the ledger what it is
//! about to give before it gives it. It never adds `all`, and removes nothing that is not ours by the ledger.

mod changing;
mod request;

use std::collections::BTreeSet;

use ami_share_aws::ec2::permissions::PermissionReader;
use ami_share_aws::ledger::leases::{Lease, Leases};
use ami_share_aws::ledger::reader::LedgerReader;
use ami_share_aws::ledger::writer::LedgerWriter;
use ami_share_domain::ids::{AccountId, SnapshotId};
use ami_share_domain::image;
use ami_share_domain::image::desired::Share;
use ami_share_domain::image::ledger::ImageLedger;
use ami_share_domain::image::plan::{Desired, ImagePlan, ObservedImage};
use ami_share_domain::image::request::{ImageRequest, ShareResult};
use ami_share_domain::image::usage::UsageQuestion;
use ami_share_domain::metrics;
use ami_share_domain::targets::target::Target;
use ami_share_lambda::{About, Clients, Environment, Failure, Function, Invocation};
use jiff::{SignedDuration, Timestamp};

use crate::changing::Changing;
use crate::request::{keys_to_revoke, refusals};

/// How long the notices of a withdrawal wait for a usage report: a little longer than the workflow asks for it.
const REPORT_PATIENCE: SignedDuration = SignedDuration::from_mins(6);

/// The function.
pub struct ShareImage {
    permissions: PermissionReader,
    ledger: LedgerReader,
    leases: Leases,
    clients: Clients,
    table: String,
    hub: AccountId,
    target_limit: usize,
    makes_private: bool,
    warns_if_in_use: bool,
}

/// An image as it is, and what the ledger says of it.
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
            ledger: clients.ledger_reader(&table),
            leases: clients.leases(&table),
            clients: clients.clone(),
            table,
            hub: environment.parsed("HUB_ACCOUNT_ID", str::parse)?,
            target_limit: environment.parsed("MAX_TARGETS_PER_IMAGE", str::parse)?,
            makes_private: environment.parsed("MAKE_PUBLIC_IMAGES_PRIVATE", str::parse)?,
            warns_if_in_use: environment.parsed("WARN_IF_IN_USE", str::parse)?,
        })
    }

    fn about(request: &ImageRequest) -> About {
        About::image(&request.share.image.id)
    }

    async fn handle(&self, request: ImageRequest, invocation: &Invocation) -> Result<ShareResult, Failure> {
        if request.share.dry_run {
            return self.dry_run(request).await;
        }
        let lease = self.leases.of_image(&request.share.image.id, invocation.id()).await?;
        let result = self.settle(request, &lease, invocation).await;
        lease.release().await;
        result
    }
}

impl ShareImage {
    /// What would be done; `shared` are those that would have access then.
    async fn dry_run(&self, request: ImageRequest) -> Result<ShareResult, Failure> {
        let (mut granted, mut refused) = request.granted();
        let observed = self.observe(&request.share).await?;
        let plan = self.plan(&request.share, &granted, &observed);
        refused.extend(plan.refuse_all(&mut granted));
        Ok(ShareResult {
            plan: plan.steps().map(ToString::to_string).collect(),
            keys_to_revoke: keys_to_revoke(&request),
            ..ShareResult::of(request.share.clone(), &granted, refused)
        })
    }

    /// Makes the image what the share says, and writes down what came of it.
    async fn settle(
        &self,
        request: ImageRequest,
        lease: &Lease,
        invocation: &Invocation,
    ) -> Result<ShareResult, Failure> {
        let share = &request.share;
        let mut observed = self.observe(share).await?;
        if observed.ledger.supersedes(share) {
            tracing::info!(intent = share.intent, "a later intent has taken over");
            return Ok(ShareResult::overtaken(request.share));
        }
        if observed.image.is_gone && share.revocation_reason.is_none() {
            tracing::info!("the image is gone; its event `deregistered` ends the shares");
            return Ok(ShareResult::overtaken(request.share));
        }
        let (mut shared, mut refused) = request.granted();
        let plan = self.plan(share, &shared, &observed);
        refused.extend(plan.refuse_all(&mut shared));
        let mut restored = request.restored(&shared, &observed.image, &observed.ledger);
        let unmanaged =
            image::unmanaged::unmanaged(&observed.image, &share.image.id, share, &observed.ledger);
        let usage_report = self.request_usage_report(share, &observed.ledger, lease).await?;
        let changing = Changing {
            request: &request,
            observed: &observed.image,
            lease,
            permissions: self.clients.permission_writer(),
            ledger: self.writer(),
            invocation: invocation.id(),
        };
        let pending_revocation = observed.ledger.pending_revocation(share);
        changing.write_ahead(&shared, &plan, &mut observed.ledger).await?;
        let rejected = changing.apply(&plan).await?;
        refused.extend(refusals(&mut shared, &rejected));
        let rejected: BTreeSet<&str> = rejected.iter().map(|rejected| rejected.permission.name()).collect();
        restored.retain(|target| !rejected.contains(target.as_str()));
        let result = ShareResult {
            revoked: pending_revocation
                .into_iter()
                .filter(|target| !rejected.contains(target.as_str()))
                .collect(),
            restored,
            made_private: changing.made_private(&plan),
            unmanaged,
            keys_to_revoke: keys_to_revoke(&request),
            usage_report,
            ..ShareResult::of(share.clone(), &shared, refused)
        };
        let opened = Timestamp::now();
        let (rows, gone) = observed.ledger.rows_after(&result, opened);
        self.writer().write_shares(&share.image.id, &rows, &gone, lease).await?;
        invocation.measure(&metrics::of_granting(share, &rows, opened));
        tracing::info!(
            shared = result.shared.len(),
            revoked = result.revoked.len(),
            restored = result.restored.len(),
            unmanaged = result.unmanaged.len(),
            refused = result.refused.len(),
            steps = plan.steps().count(),
            "settled"
        );
        Ok(result)
    }

    /// The permissions of an image of another account can be neither read nor set: nothing of it is ours.
    async fn observe(&self, share: &Share) -> Result<Observed, Failure> {
        let ledger = self.ledger.image(&share.image.id).await?;
        if share.image.owner != self.hub {
            return Ok(Observed { image: ObservedImage::default(), ledger });
        }
        let snapshots: BTreeSet<SnapshotId> =
            share.snapshots.iter().chain(ledger.snapshots.keys()).cloned().collect();
        let image = self.permissions.observe(&share.image.id, &snapshots).await?;
        Ok(Observed { image, ledger })
    }

    fn plan(&self, share: &Share, targets: &[&Target], observed: &Observed) -> ImagePlan {
        let desired = Desired {
            targets,
            snapshots: &share.snapshots,
            pending_revocation: &observed.ledger.pending_revocation(share),
            snapshots_pending_revocation: &observed.ledger.snapshots_pending_revocation(share),
            limit: self.target_limit,
            makes_private: self.makes_private,
        };
        image::plan::plan(&observed.image, &desired)
    }

    /// Asks AWS, where the stack wants it, whether those who are about to lose access still use the image. The
    /// answer comes later, and nothing waits for it here; that it cannot be asked for stops no withdrawal.
    async fn request_usage_report(
        &self,
        share: &Share,
        ledger: &ImageLedger,
        lease: &Lease,
    ) -> Result<Option<UsageQuestion>, Failure> {
        let image = &share.image.id;
        if !self.warns_if_in_use || ledger.pending_revocation(share).is_empty() {
            return Ok(None);
        }
        let accounts: Vec<AccountId> = ledger.accounts_losing_access(share).into_iter().collect();
        lease.renew().await?;
        let triggered_by = self.clients.usage_report_writer().ask(image, &accounts).await;
        let triggered_by =
            triggered_by.inspect_err(|error| tracing::warn!(%error, "no usage report")).ok().flatten();
        let Some(report_id) = triggered_by else { return Ok(None) };
        lease.renew().await?;
        self.writer().wait_for_report(image, &report_id, Timestamp::now() + REPORT_PATIENCE).await?;
        Ok(Some(UsageQuestion { report_id, accounts }))
    }

    fn writer(&self) -> LedgerWriter {
        self.clients.ledger_writer(&self.table)
    }
}
