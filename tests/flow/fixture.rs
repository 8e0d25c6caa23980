//! The stacks that the tests share, and what each test creates in them.
//!
//! No stack is ever dropped: when this process ends, its pipe to the simulated AWS closes, and that ends too.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};

use ami_share_tests::stack::{Options, Stack};
use ami_share_tests::world::Account;
use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::task::block_in_place;

use crate::record;

/// A running stack. Its hub manages an organization or belongs to one.
pub struct Fixture {
    /// The hub account.
    pub hub: Account,
    /// The management account of the organization: the hub itself, except in [`flow_on_schedule`].
    pub manager: Account,
    /// The id of the organization.
    pub organization: String,
    /// The id of the organization's root.
    pub root: String,
    names: AtomicUsize,
    /// All tests of a stack use one runtime: the connections of a client end with its runtime.
    runtime: Runtime,
    stack: Stack,
}

/// An encrypted image and its key.
pub struct Golden {
    /// The image's id.
    pub image: String,
    /// The key's ARN.
    pub key: String,
}

/// A stack that the first test of it starts.
pub type Shared = OnceLock<Result<Fixture, String>>;

/// Runs a test on one of the two stacks that most tests share. There are two because each keeps one processor busy.
///
/// They allow the external targets of `external.rs`. They do not cache the organization, because every test creates
/// accounts and OUs.
pub fn flow(test: impl AsyncFnOnce(&'static Fixture) -> Result<()>) -> Result<()> {
    static EVEN: Shared = OnceLock::new();
    static ODD: Shared = OnceLock::new();
    static TESTS: AtomicUsize = AtomicUsize::new(0);
    let stack = if TESTS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { &EVEN } else { &ODD };
    let organization = "arn:aws:organizations::444455556666:organization/o-a1b2c3d4e5";
    let parameters = [
        "AllowedExternalAccounts=333333333333,777777777777",
        &format!("AllowedExternalOrganizations={organization}"),
        "OrganizationCacheSeconds=0",
    ];
    // Images stay pending long enough for a reconciliation on a busy machine to find them pending.
    let slow_images = [("SIMULATED_AWS_IMAGE_DELAY".to_owned(), "6".to_owned())];
    on_stack(stack, &options(&parameters, &slow_images), OrganizationEvents::Ignored, test)
}

/// Runs a test on a stack with the optional safeguards: it asks AWS whether revoked accounts still use an image, makes
/// public images private, and is traced. Its other parameters have their defaults. Its organization has more than a
/// thousand accounts.
pub fn flow_within_limits(test: impl AsyncFnOnce(&'static Fixture) -> Result<()>) -> Result<()> {
    static STACK: Shared = OnceLock::new();
    on(&STACK, &["WarnIfInUse=true", "MakePublicImagesPrivate=true", "Tracing=Active"], test)
}

/// Runs a test on a stack whose AWS throttles. AWS Organizations gets a low limit, a few calls at once and one more
/// each second, because a busy machine hardly exceeds the real one.
pub fn flow_throttled(test: impl AsyncFnOnce(&'static Fixture) -> Result<()>) -> Result<()> {
    static STACK: Shared = OnceLock::new();
    let limits = [("SIMULATED_AWS_REQUEST_LIMITS".to_owned(), "1".to_owned())];
    on_stack(&STACK, &options(&[], &limits), OrganizationEvents::Ignored, test)
}

/// Runs a test on a stack whose functions are killed. Its usage reports are ready at once: a function that finds a
/// report not ready tries again only ten seconds later.
pub fn flow_interrupted(
    stack: &'static Shared,
    warn_if_in_use: bool,
    test: impl AsyncFnOnce(&'static Fixture) -> Result<()>,
) -> Result<()> {
    let parameters = [&format!("WarnIfInUse={warn_if_in_use}"), "OrganizationCacheSeconds=0"];
    let reports_at_once = [("SIMULATED_AWS_REPORT_DELAY".to_owned(), "0".to_owned())];
    on_stack(stack, &options(&parameters, &reports_at_once), OrganizationEvents::Ignored, test)
}

/// Runs a test on the stack with the default parameters, which caches the organization. Its tests share its reviews.
pub fn flow_reviewed(test: impl AsyncFnOnce(&'static Fixture) -> Result<()>) -> Result<()> {
    let _beside_other_tests = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    on_stack(&REVIEWED, &Options::default(), OrganizationEvents::Received, test)
}

/// Runs a test on the stack of [`flow_reviewed`] while no other test does: for a test that counts executions or that
/// disables the rules.
pub fn flow_alone(test: impl AsyncFnOnce(&'static Fixture) -> Result<()>) -> Result<()> {
    let _without_other_tests = ALONE.write().unwrap_or_else(PoisonError::into_inner);
    on_stack(&REVIEWED, &Options::default(), OrganizationEvents::Received, async |fixture| {
        // A test that failed may have left the rules disabled.
        fixture.hub.enable_rules().await?;
        fixture.hub.wait_until_idle().await?;
        let outcome = test(fixture).await;
        fixture.hub.enable_rules().await?;
        outcome
    })
}

/// Runs a test on a stack that reviews all images every ten seconds. Another account manages its organization, which
/// the hub can list only through the role in `OrganizationRoleArn`.
pub fn flow_on_schedule(test: impl AsyncFnOnce(&'static Fixture) -> Result<()>) -> Result<()> {
    static STACK: Shared = OnceLock::new();
    let role = format!("OrganizationRoleArn=arn:aws:iam::{MANAGER}:role/organization-reader");
    let options =
        Options { review_every: Some("10s".to_owned()), ..options(&[&role, "Tracing=Active"], &[]) };
    on_stack(&STACK, &options, OrganizationEvents::Elsewhere, test)
}

/// The management account where that is not the hub.
const MANAGER: &str = "555566667777";

/// Runs a test on its own stack, which it may update and delete.
pub fn flow_by_itself(
    stack: &'static Shared,
    test: impl AsyncFnOnce(&'static Fixture) -> Result<()>,
) -> Result<()> {
    on(stack, &["AllowedExternalAccounts=333333333333", "OrganizationCacheSeconds=0"], test)
}

static REVIEWED: Shared = OnceLock::new();
static ALONE: RwLock<()> = RwLock::new(());

fn on(
    stack: &'static Shared,
    parameters: &[&str],
    test: impl AsyncFnOnce(&'static Fixture) -> Result<()>,
) -> Result<()> {
    on_stack(stack, &options(parameters, &[]), OrganizationEvents::Ignored, test)
}

/// Whether a stack receives the events of its organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OrganizationEvents {
    Received,
    /// Every test creates accounts; each event would start a review of the images of all other tests.
    Ignored,
    /// The events occur in the management account, which is not the hub.
    Elsewhere,
}

fn options(parameters: &[&str], environment: &[(String, String)]) -> Options {
    let parameters = parameters.iter().map(|parameter| (*parameter).to_owned()).collect();
    Options { parameters, environment: environment.to_vec(), ..Options::default() }
}

fn on_stack(
    stack: &'static Shared,
    options: &Options,
    events: OrganizationEvents,
    test: impl AsyncFnOnce(&'static Fixture) -> Result<()>,
) -> Result<()> {
    let fixture = stack.get_or_init(|| Fixture::start(options, events).map_err(|error| format!("{error:#}")));
    let fixture = fixture.as_ref().map_err(|error| anyhow!("the stack did not start: {error}"))?;
    fixture.runtime.block_on(test(fixture))
}

impl Fixture {
    fn start(options: &Options, events: OrganizationEvents) -> Result<Self> {
        let mut options = options.clone();
        options.environment.push(record::variable()?);
        let stack = Stack::start(&options, |_| ())?;
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (hub, manager, organization, root) = runtime.block_on(async {
            let hub = Account::hub(stack.endpoint()).await;
            if events == OrganizationEvents::Ignored {
                hub.ignore_organization().await?;
            }
            let is_elsewhere = events == OrganizationEvents::Elsewhere;
            let manager = if is_elsewhere { hub.assume(MANAGER).await? } else { hub.clone() };
            let organization = manager.create_organization().await?;
            if is_elsewhere {
                manager.add_to_organization(&hub).await?;
            }
            let root = manager.root().await?;
            anyhow::Ok((hub, manager, organization, root))
        })?;
        Ok(Self { hub, manager, organization, root, names: AtomicUsize::new(0), runtime, stack })
    }

    /// Changes parameters of the stack, as `Name=Value`. Returns the status of the stack afterwards.
    pub fn redeploy(&self, parameters: &[&str]) -> Result<String> {
        block_in_place(|| self.stack.redeploy(parameters))
    }

    /// Deletes the stack. Returns its last status.
    pub fn delete(&self) -> Result<String> {
        block_in_place(|| self.stack.delete())
    }

    /// A name that starts with `what` and that nothing else in this stack has.
    pub fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// A new account under the root.
    pub async fn target_account(&self, what: &str) -> Result<Account> {
        self.account_in(what, &self.root).await
    }

    /// A new account under `parent`.
    pub async fn account_in(&self, what: &str, parent: &str) -> Result<Account> {
        let id = self.manager.create_account(&self.name(what), parent).await?;
        self.hub.assume(&id).await
    }

    /// A new OU under `parent`.
    pub async fn ou(&self, what: &str, parent: &str) -> Result<String> {
        self.manager.create_ou(parent, &self.name(what)).await
    }

    /// A new image that is not encrypted.
    pub async fn image(&self, what: &str) -> Result<String> {
        self.hub.image(&self.name(what), &[]).await
    }

    /// A new image encrypted with a new key whose policy ami-share may write.
    pub async fn golden(&self, what: &str) -> Result<Golden> {
        let key = self.hub.create_key().await?;
        Ok(Golden { image: self.image_on(what, &key).await?, key })
    }

    /// A new image encrypted with a key.
    pub async fn image_on(&self, what: &str, key: &str) -> Result<String> {
        self.hub.image(&self.name(what), &[key]).await
    }

    /// Waits until events have started all reconciliations of a registered image, and these have ended: one for its
    /// state change, one for the event of CloudTrail, and one for each of `changes`, such as a change of its tags. A
    /// review may have started more.
    pub async fn await_reconciliations(&self, image: &str, changes: usize) -> Result<()> {
        let started = async || {
            let inputs = self.hub.executions_of(image).await?;
            let by_event = inputs.values().filter(|input| input.get("detail-type").is_some()).count();
            Ok((by_event == changes + 2).then_some(()))
        };
        self.hub.until("every reconciliation has started", started).await?;
        self.hub.settled(image).await?;
        Ok(())
    }

    /// Tags an image that has no status yet with `selectors`, and waits for its first status.
    pub async fn share(&self, image: &str, selectors: &str) -> Result<String> {
        self.hub.tag(image, &[("ami-share:with", selectors)]).await?;
        self.hub.status(image, |_| true).await
    }

    /// Changes the selectors of an image, and waits until it has this status.
    pub async fn share_until_status(&self, image: &str, selectors: &str, status: &str) -> Result<()> {
        self.hub.tag(image, &[("ami-share:with", selectors)]).await?;
        self.hub.status(image, |found| found == status).await?;
        Ok(())
    }

    /// The log lines of a function, metrics included, that contain some text, such as the id of an image.
    pub fn log_lines(&self, function: &str, text: &str) -> Result<Vec<Value>> {
        let log = fs::read_to_string(self.stack.logs().join(format!("{function}.log")))?;
        let lines = log.lines().filter(|line| line.contains(text));
        lines.map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))).collect()
    }

    /// The ARN of the organization.
    pub fn organization_arn(&self) -> String {
        format!("arn:aws:organizations::{}:organization/{}", self.manager.id, self.organization)
    }

    /// The ARN of an OU.
    pub fn ou_arn(&self, ou: &str) -> String {
        format!("arn:aws:organizations::{}:ou/{}/{ou}", self.manager.id, self.organization)
    }
}
