//! `share-image`: opens an image and its snapshots to the targets that its keys admit, and closes them to
//! those whom ami-share gave them to and nobody wants any more.
//!
//! Takes the image's turn; does nothing when a later intent has taken over; writes into the ledger what it is
//! about to give before it gives it. It never adds `all`, and removes nothing that is not ours by the ledger.

mod changing;
mod request;

use std::collections::BTreeSet;

use ami_share_aws::ledger_reader::LedgerReader;
use ami_share_aws::ledger_writer::LedgerWriter;
use ami_share_aws::permissions::PermissionReader;
use ami_share_aws::turns::{Turn, Turns};
use ami_share_domain::ids::{AccountId, SnapshotId};
use ami_share_domain::image_plan::{self, ImagePlan, ObservedImage, Wanted};
use ami_share_domain::image_request::{Given, ImageRequest};
use ami_share_domain::ledger::ImageLedger;
use ami_share_domain::metrics;
use ami_share_domain::share::{Share, Target};
use ami_share_domain::usage::UsageQuestion;
use ami_share_lambda::{About, Clients, Environment, Failure, Function, Invocation};
use jiff::{SignedDuration, Timestamp};

use crate::changing::Changing;
use crate::request::{keys_to_retract, refusals};

/// How long the notices of a withdrawal wait for a usage report: a little longer than the workflow asks for it.
const REPORT_PATIENCE: SignedDuration = SignedDuration::from_mins(6);

/// The function.
pub struct ShareImage {
    permissions: PermissionReader,
    ledger: LedgerReader,
    turns: Turns,
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
    type Response = Given;

    async fn start(environment: &Environment, clients: &Clients) -> Result<Self, Failure> {
        let table = environment.text("LEDGER_TABLE")?;
        Ok(Self {
            permissions: clients.permission_reader(),
            ledger: clients.ledger_reader(&table),
            turns: clients.turns(&table),
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

    async fn handle(&self, request: ImageRequest, invocation: &Invocation) -> Result<Given, Failure> {
        if request.share.dry_run {
            return self.dry_run(request).await;
        }
        let turn = self.turns.of_image(&request.share.image.id, invocation.id()).await?;
        let given = self.settle(request, &turn, invocation).await;
        turn.release().await;
        given
    }
}

impl ShareImage {
    /// What would be done; `shared` are those that would have access then.
    async fn dry_run(&self, request: ImageRequest) -> Result<Given, Failure> {
        let (mut admitted, mut refused) = request.admitted();
        let observed = self.observe(&request.share).await?;
        let plan = self.plan(&request.share, &admitted, &observed);
        refused.extend(plan.refuse_all(&mut admitted));
        Ok(Given {
            plan: plan.steps().map(ToString::to_string).collect(),
            retract: keys_to_retract(&request),
            ..Given::of(request.share.clone(), &admitted, refused)
        })
    }

    /// Makes the image what the share says, and writes down what came of it.
    async fn settle(
        &self,
        request: ImageRequest,
        turn: &Turn,
        invocation: &Invocation,
    ) -> Result<Given, Failure> {
        let share = &request.share;
        let mut observed = self.observe(share).await?;
        if observed.ledger.supersedes(share) {
            tracing::info!(intent = share.intent, "a later intent has taken over");
            return Ok(Given::overtaken(request.share));
        }
        if observed.image.is_gone && share.ending.is_none() {
            tracing::info!("the image is gone; its event `deregistered` ends the shares");
            return Ok(Given::overtaken(request.share));
        }
        let (mut shared, mut refused) = request.admitted();
        let plan = self.plan(share, &shared, &observed);
        refused.extend(plan.refuse_all(&mut shared));
        let mut restored = request.restored(&shared, &observed.image, &observed.ledger);
        let unmanaged = image_plan::unmanaged(&observed.image, &share.image.id, share, &observed.ledger);
        let usage_report = self.ask_for_usage(share, &observed.ledger, turn).await?;
        let changing = Changing {
            request: &request,
            observed: &observed.image,
            turn,
            permissions: self.clients.permission_writer(),
            ledger: self.writer(),
            invocation: invocation.id(),
        };
        let leaving = observed.ledger.leaving(share);
        changing.write_ahead(&shared, &plan, &mut observed.ledger).await?;
        let rejected = changing.apply(&plan).await?;
        refused.extend(refusals(&mut shared, &rejected));
        let rejected: BTreeSet<&str> = rejected.iter().map(|rejected| rejected.permission.name()).collect();
        restored.retain(|target| !rejected.contains(target.as_str()));
        let given = Given {
            withdrawn: leaving.into_iter().filter(|target| !rejected.contains(target.as_str())).collect(),
            restored,
            made_private: changing.made_private(&plan),
            unmanaged,
            retract: keys_to_retract(&request),
            usage_report,
            ..Given::of(share.clone(), &shared, refused)
        };
        let opened = Timestamp::now();
        let (rows, gone) = observed.ledger.rows_after(&given, opened);
        self.writer().write_shares(&share.image.id, &rows, &gone, turn).await?;
        invocation.measure(&metrics::of_opening(share, &rows, opened));
        tracing::info!(
            shared = given.shared.len(),
            withdrawn = given.withdrawn.len(),
            restored = given.restored.len(),
            unmanaged = given.unmanaged.len(),
            refused = given.refused.len(),
            steps = plan.steps().count(),
            "settled"
        );
        Ok(given)
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
        let wanted = Wanted {
            targets,
            snapshots: &share.snapshots,
            leaving: &observed.ledger.leaving(share),
            leaving_snapshots: &observed.ledger.leaving_snapshots(share),
            limit: self.target_limit,
            makes_private: self.makes_private,
        };
        image_plan::plan(&observed.image, &wanted)
    }

    /// Asks AWS, where the stack wants it, whether those who are about to lose access still use the image. The
    /// answer comes later, and nothing waits for it here; that it cannot be asked for stops no withdrawal.
    async fn ask_for_usage(
        &self,
        share: &Share,
        ledger: &ImageLedger,
        turn: &Turn,
    ) -> Result<Option<UsageQuestion>, Failure> {
        let image = &share.image.id;
        if !self.warns_if_in_use || ledger.leaving(share).is_empty() {
            return Ok(None);
        }
        let accounts: Vec<AccountId> = ledger.losing_accounts(share).into_iter().collect();
        turn.renew().await?;
        let asked = self.clients.usage_report_writer().ask(image, &accounts).await;
        let asked = asked.inspect_err(|error| tracing::warn!(%error, "no usage report")).ok().flatten();
        let Some(report_id) = asked else { return Ok(None) };
        turn.renew().await?;
        self.writer().wait_for_report(image, &report_id, Timestamp::now() + REPORT_PATIENCE).await?;
        Ok(Some(UsageQuestion { report_id, accounts }))
    }

    fn writer(&self) -> LedgerWriter {
        self.clients.ledger_writer(&self.table)
    }
}
