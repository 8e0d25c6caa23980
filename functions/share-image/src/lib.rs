//! `share-image`: opens an image's snapshots and launch permissions to the targets that its keys admit.
//!
//! Takes the image's turn; does nothing when a later intent has taken over; writes into the ledger what it is
//! about to give before it gives it. It only adds, and never `all`.

use std::collections::BTreeSet;

use ami_share_aws::error::{AwsError, Fault};
use ami_share_aws::ledger::LedgerReader;
use ami_share_aws::permissions::{PermissionReader, RejectedPermission};
use ami_share_aws::turns::{Turn, Turns};
use ami_share_domain::image_plan::{self, ImagePlan, ImageStep};
use ami_share_domain::ledger::ImageLedger;
use ami_share_domain::refusal::{Refusal, RefusalCode};
use ami_share_domain::share::{Given, ImageRequest, LaunchPermission, Share, Target};
use ami_share_lambda::{Clients, Environment, Failure, Function};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

/// Snapshots that are opened at the same time.
const CONCURRENT_WRITES: usize = 4;

/// The function.
pub struct ShareImage {
    permissions: PermissionReader,
    ledger: LedgerReader,
    turns: Turns,
    clients: Clients,
    table: String,
    target_limit: usize,
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
            target_limit: environment.parsed("MAX_TARGETS_PER_IMAGE", str::parse)?,
        })
    }

    async fn handle(&self, request: ImageRequest, invocation: &str) -> Result<Given, Failure> {
        if request.share.dry_run {
            return self.dry_run(request).await;
        }
        let turn = self.turns.of_image(&request.share.image.id, invocation).await?;
        let given = self.give(request, &turn).await;
        turn.release().await;
        given
    }
}

impl ShareImage {
    /// What would be done; `shared` are those that would have access then.
    async fn dry_run(&self, request: ImageRequest) -> Result<Given, Failure> {
        let (mut admitted, mut refused) = request.admitted();
        let Some(plan) = self.plan(&request.share, &admitted).await? else {
            return Ok(given(&request, &[], refused, true));
        };
        refused.extend(refuse_all(&mut admitted, &plan));
        let steps = plan.steps.iter().map(ToString::to_string).collect();
        Ok(Given { plan: steps, ..given(&request, &admitted, refused, false) })
    }

    async fn give(&self, request: ImageRequest, turn: &Turn) -> Result<Given, Failure> {
        let share = &request.share;
        let mut ledger = self.ledger.image(&share.image.id).await?;
        if ledger.supersedes(share) {
            tracing::info!(image = %share.image.id, intent = share.intent, "a later intent has taken over");
            return Ok(given(&request, &[], Vec::new(), true));
        }
        let (admitted, mut refused) = request.admitted();
        let Some(plan) = self.plan(share, &admitted).await? else {
            tracing::info!(image = %share.image.id, "the image is gone");
            return Ok(given(&request, &[], Vec::new(), true));
        };
        let mut shared = admitted;
        refused.extend(refuse_all(&mut shared, &plan));
        let rejected = self.apply(share, &shared, &plan, &mut ledger, turn).await?;
        refused.extend(refusals(&mut shared, &rejected));
        let given = given(&request, &shared, refused, false);
        self.record(&given, &ledger).await?;
        tracing::info!(image = %share.image.id, shared = given.shared.len(), refused = given.refused.len(), steps = plan.steps.len(), "shared");
        Ok(given)
    }

    /// What is lacking; `None` when the image is gone.
    async fn plan(&self, share: &Share, targets: &[&Target]) -> Result<Option<ImagePlan>, Failure> {
        if targets.is_empty() {
            return Ok(Some(ImagePlan::default()));
        }
        match self.permissions.observe(&share.image.id, &share.snapshots).await {
            Ok(observed) => {
                Ok(Some(image_plan::open(&observed, targets, &share.snapshots, self.target_limit)))
            }
            Err(error) if error.fault() == Fault::Missing => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down what is about to be given, then gives it: all snapshots before the image.
    async fn apply(
        &self,
        share: &Share,
        targets: &[&Target],
        plan: &ImagePlan,
        ledger: &mut ImageLedger,
        turn: &Turn,
    ) -> Result<Vec<RejectedPermission>, Failure> {
        let added = plan.launch_permissions();
        let writer = self.clients.ledger_writer(&self.table);
        let rows = ledger.rows_before(
            share,
            targets,
            |target| added.contains(&target.launch_permission()),
            Timestamp::now(),
        );
        writer.write_shares(&share.image.id, &rows, &[]).await?;
        // While we have the turn nobody else writes these rows: what was just written need not be read again.
        ledger.shares.extend(rows.into_iter().map(|row| (row.target.clone(), row)));
        let (snapshots, image): (Vec<_>, Vec<_>) =
            plan.steps.iter().cloned().partition(|step| matches!(step, ImageStep::OpenSnapshot { .. }));
        let mut rejected = self.take_all(share, snapshots, turn).await?;
        // Whom EC2 did not take for a snapshot gets no half of a share.
        let image =
            image.into_iter().filter_map(|step| step.without(&rejected_permissions(&rejected))).collect();
        rejected.extend(self.take_all(share, image, turn).await?);
        Ok(rejected)
    }

    async fn take_all(
        &self,
        share: &Share,
        steps: Vec<ImageStep>,
        turn: &Turn,
    ) -> Result<Vec<RejectedPermission>, Failure> {
        let taken =
            stream::iter(&steps).map(|step| self.take(share, step, turn)).buffer_unordered(CONCURRENT_WRITES);
        Ok(taken.try_collect::<Vec<_>>().await?.into_iter().flatten().collect())
    }

    async fn take(
        &self,
        share: &Share,
        step: &ImageStep,
        turn: &Turn,
    ) -> Result<Vec<RejectedPermission>, AwsError> {
        let image = &share.image.id;
        turn.renew().await?;
        if let ImageStep::OpenSnapshot { snapshot, accounts } = step {
            self.clients.ledger_writer(&self.table).add_snapshot_accounts(image, snapshot, accounts).await?;
        }
        self.clients.permission_writer().apply(image, step).await
    }

    async fn record(&self, given: &Given, ledger: &ImageLedger) -> Result<(), Failure> {
        let (rows, gone) = ledger.rows_after(given, Timestamp::now());
        let writer = self.clients.ledger_writer(&self.table);
        Ok(writer.write_shares(&given.share.image.id, &rows, &gone).await?)
    }
}

/// Takes everybody out of `shared` when the plan refuses to do anything.
fn refuse_all(shared: &mut Vec<&Target>, plan: &ImagePlan) -> Vec<Refusal> {
    let Some(refusal) = &plan.refused else { return Vec::new() };
    shared.drain(..).map(|target| Refusal { word: target.name().to_owned(), ..refusal.clone() }).collect()
}

fn rejected_permissions(rejected: &[RejectedPermission]) -> BTreeSet<LaunchPermission> {
    rejected.iter().map(|rejected| rejected.permission.clone()).collect()
}

/// Takes those that EC2 rejected out of `shared`, and says why.
fn refusals(shared: &mut Vec<&Target>, rejected: &[RejectedPermission]) -> Vec<Refusal> {
    let mut refused = Vec::new();
    let mut seen = BTreeSet::new();
    for RejectedPermission { permission, message } in
        rejected.iter().filter(|rejected| seen.insert(&rejected.permission))
    {
        let target = shared
            .iter()
            .position(|target| target.launch_permission() == *permission)
            .map(|at| shared.remove(at));
        let word = match (target, permission) {
            (Some(target), _) => target.name().to_owned(),
            (None, LaunchPermission::Account(id)) => id.to_string(),
            (None, other) => other.to_string(),
        };
        let reason = format!("EC2 does not take {word}: {message}");
        refused.push(Refusal::new(word, RefusalCode::RejectedByAws, reason));
    }
    refused
}

fn given(request: &ImageRequest, shared: &[&Target], refused: Vec<Refusal>, superseded: bool) -> Given {
    let share = request.share.clone();
    let refused =
        if superseded { Vec::new() } else { share.refused.iter().cloned().chain(refused).collect() };
    Given {
        shared: shared.iter().map(|target| target.name().to_owned()).collect(),
        share,
        refused,
        superseded,
        plan: Vec::new(),
    }
}
