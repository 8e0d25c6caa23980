//! The stacks that the tests share, and what each test makes for itself in them.
//!
//! A stack is never dropped: the simulated AWS ends by itself when this process does, and closes its pipe.

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

/// A running stack whose hub manages an organization, or is a member of one.
pub struct Fixture {
    /// The hub account.
    pub hub: Account,
    /// The account that manages the organization: the hub itself, where nothing else is said.
    pub manager: Account,
    /// The organization's id.
    pub organization: String,
    /// The id of its root.
    pub root: String,
    made: AtomicUsize,
    /// One for all tests of the stack: a client's connections live only as long as the runtime that made them.
    runtime: Runtime,
    stack: Stack,
}

/// An encrypted image, and its key.
pub struct Golden {
    /// The image's id.
    pub image: String,
    /// The key's ARN.
    pub key: String,
}

/// A stack that is started by whoever comes first.
pub type Shared = OnceLock<Result<Fixture, String>>;

/// Runs a test on one of the stacks that most tests share: two of them, since each is busy on one processor.
///
/// They allow the outsiders of `external.rs`, and keep nothing of the organization between two looks, because
/// every test makes accounts and OUs of its own.
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
    // Images take so long to make that a look on a busy machine comes while they are pending.
    let slowly = [("SIMULATED_AWS_IMAGE_DELAY".to_owned(), "6".to_owned())];
    on_stack(stack, &options(&parameters, &slowly), Organization::Unheard, test)
}

/// Runs a test on a stack that is on its guard: it asks AWS whether an image is still used before it takes it back,
/// and makes private what somebody makes public. It is traced, too. All else is as it is by default, in an organization of more than
/// a thousand accounts.
pub fn flow_within_limits(test: impl AsyncFnOnce(&'static Fixture) -> Result<()>) -> Result<()> {
    static STACK: Shared = OnceLock::new();
    on(&STACK, &["WarnIfInUse=true", "MakePublicImagesPrivate=true", "Tracing=Active"], test)
}

/// Runs a test on a stack whose AWS answers with *later* whoever calls too often. Of AWS Organizations, it allows few
/// calls at once and one more each second: a busy machine calls hardly more often than AWS allows.
pub fn flow_throttled(test: impl AsyncFnOnce(&'static Fixture) -> Result<()>) -> Result<()> {
    static STACK: Shared = OnceLock::new();
    let limits = [("SIMULATED_AWS_REQUEST_LIMITS".to_owned(), "1".to_owned())];
    on_stack(&STACK, &options(&[], &limits), Organization::Unheard, test)
}

/// Runs a test on a stack in which functions are killed. Its reports of usage are there at once: who is
/// told that a report is not ready comes again ten seconds later.
pub fn flow_interrupted(
    stack: &'static Shared,
    warn_if_in_use: bool,
    test: impl AsyncFnOnce(&'static Fixture) -> Result<()>,
) -> Result<()> {
    let parameters = [&format!("WarnIfInUse={warn_if_in_use}"), "OrganizationCacheSeconds=0"];
    let at_once = [("SIMULATED_AWS_REPORT_DELAY".to_owned(), "0".to_owned())];
    on_stack(stack, &options(&parameters, &at_once), Organization::Unheard, test)
}

/// Runs a test on a stack whose reviews all tests of it share. All is as it is by default, what is remembered of the
/// organization included.
pub fn flow_reviewed(test: impl AsyncFnOnce(&'static Fixture) -> Result<()>) -> Result<()> {
    let _beside_others = ALONE.read().unwrap_or_else(PoisonError::into_inner);
    on_stack(&REVIEWED, &Options::default(), Organization::Received, test)
}

/// Runs a test on the same stack while no other test does: one that counts what is started, or makes the stack deaf.
pub fn flow_alone(test: impl AsyncFnOnce(&'static Fixture) -> Result<()>) -> Result<()> {
    let _no_others = ALONE.write().unwrap_or_else(PoisonError::into_inner);
    on_stack(&REVIEWED, &Options::default(), Organization::Received, async |fixture| {
        // A test that failed may have left it deaf.
        fixture.hub.enable_rules().await?;
        fixture.hub.still().await?;
        let outcome = test(fixture).await;
        fixture.hub.enable_rules().await?;
        outcome
    })
}

/// Runs a test on a stack that reviews all images every ten seconds, and whose hub is a member of an organization that
/// another account manages: it may list that only by the role that it is given.
pub fn flow_on_schedule(test: impl AsyncFnOnce(&'static Fixture) -> Result<()>) -> Result<()> {
    static STACK: Shared = OnceLock::new();
    let role = format!("OrganizationRoleArn=arn:aws:iam::{MANAGER}:role/organization-reader");
    let options =
        Options { review_every: Some("10s".to_owned()), ..options(&[&role, "Tracing=Active"], &[]) };
    on_stack(&STACK, &options, Organization::Elsewhere, test)
}

/// The management account of the organization that is not the hub's.
const MANAGER: &str = "555566667777";

/// Runs a test on a stack of its own, which it may update and delete.
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
    on_stack(stack, &options(parameters, &[]), Organization::Unheard, test)
}

/// Whether a stack hears that accounts come, go and move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Organization {
    Received,
    /// Every test makes accounts, and each would have the images of all others looked at in the midst of their tests.
    Unheard,
    /// What happens to it happens in another account, which manages it.
    Elsewhere,
}

fn options(parameters: &[&str], environment: &[(String, String)]) -> Options {
    let parameters = parameters.iter().map(|parameter| (*parameter).to_owned()).collect();
    Options { parameters, environment: environment.to_vec(), ..Options::default() }
}

fn on_stack(
    stack: &'static Shared,
    options: &Options,
    organization: Organization,
    test: impl AsyncFnOnce(&'static Fixture) -> Result<()>,
) -> Result<()> {
    let fixture =
        stack.get_or_init(|| Fixture::start(options, organization).map_err(|error| format!("{error:#}")));
    let fixture = fixture.as_ref().map_err(|error| anyhow!("the stack did not start: {error}"))?;
    fixture.runtime.block_on(test(fixture))
}

impl Fixture {
    fn start(options: &Options, received: Organization) -> Result<Self> {
        let mut options = options.clone();
        options.environment.push(record::variable()?);
        let stack = Stack::start(&options, |_| ())?;
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (hub, manager, organization, root) = runtime.block_on(async {
            let hub = Account::hub(stack.endpoint()).await;
            if received == Organization::Unheard {
                hub.ignore_organization().await?;
            }
            let is_elsewhere = received == Organization::Elsewhere;
            let manager = if is_elsewhere { hub.assume(MANAGER).await? } else { hub.clone() };
            let organization = manager.create_organization().await?;
            if is_elsewhere {
                manager.bring_in(&hub).await?;
            }
            let root = manager.root().await?;
            anyhow::Ok((hub, manager, organization, root))
        })?;
        Ok(Self { hub, manager, organization, root, made: AtomicUsize::new(0), runtime, stack })
    }

    /// Changes parameters of the stack, as `Name=Value`; answers the stack's status after that.
    pub fn redeploy(&self, parameters: &[&str]) -> Result<String> {
        block_in_place(|| self.stack.redeploy(parameters))
    }

    /// Deletes the stack; answers its last status.
    pub fn delete(&self) -> Result<String> {
        block_in_place(|| self.stack.delete())
    }

    /// A name that nothing else in this stack has.
    pub fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.made.fetch_add(1, Ordering::Relaxed))
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

    /// A new image on a new key that ami-share may write.
    pub async fn golden(&self, what: &str) -> Result<Golden> {
        let key = self.hub.create_key().await?;
        Ok(Golden { image: self.image_on(what, &key).await?, key })
    }

    /// A new image on a key.
    pub async fn image_on(&self, what: &str, key: &str) -> Result<String> {
        self.hub.image(&self.name(what), &[key]).await
    }

    /// Waits until the looks at an image have come and gone: of a registered image, one because it is available and
    /// one for CloudTrail's event; and one for each change of its tags. A review may have added looks of its own.
    pub async fn reconciliations_end(&self, image: &str, changes: usize) -> Result<()> {
        let started = async || {
            let inputs = self.hub.executions_of(image).await?;
            let by_event = inputs.values().filter(|input| input.get("detail-type").is_some()).count();
            Ok((by_event == changes + 2).then_some(()))
        };
        self.hub.until("every look has begun", started).await?;
        self.hub.settled(image).await?;
        Ok(())
    }

    /// Tags an image that has no status yet with `selectors`, and waits for its status.
    pub async fn share(&self, image: &str, selectors: &str) -> Result<String> {
        self.hub.tag(image, &[("ami-share:with", selectors)]).await?;
        self.hub.status(image, |_| true).await
    }

    /// Changes the words of an image, and waits for this status.
    pub async fn share_until_status(&self, image: &str, selectors: &str, status: &str) -> Result<()> {
        self.hub.tag(image, &[("ami-share:with", selectors)]).await?;
        self.hub.status(image, |found| found == status).await?;
        Ok(())
    }

    /// The log lines of a function that contain some text, such as the id of an image, metrics included.
    pub fn log_lines(&self, function: &str, text: &str) -> Result<Vec<Value>> {
        let log = fs::read_to_string(self.stack.logs().join(format!("{function}.log")))?;
        let lines = log.lines().filter(|line| line.contains(text));
        lines.map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))).collect()
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
