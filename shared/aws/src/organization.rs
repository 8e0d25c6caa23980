//! Reads as much of the organization as the selectors need, and caches it while the function is warm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ami_share_domain::ids::{AccountId, OuId, RootId};
use ami_share_domain::targets::organization::{Account, Organization, Parent, Scope, Unit};
use aws_sdk_organizations::Client;
use aws_sdk_organizations::types::{Account as AwsAccount, AccountState, AccountStatus};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::error::{AwsError, Explain, Fault, unusable_answer};

/// Concurrent calls. AWS Organizations allows a few calls a second; the SDK waits when it throttles.
const CONCURRENT_READS: usize = 4;
/// How long the organization is cached, as a multiple of the time that reading took. A small organization is read again
/// for almost every reconciliation and is never out of date; a large one does not cost its minutes each time.
const CACHED_FOR_TIMES: u32 = 5;

#[derive(Debug, Clone)]
struct Cached {
    read_at: Timestamp,
    until: Instant,
    scope: Scope,
    organization: Arc<Organization>,
}

/// Reads the organization.
#[derive(Debug)]
pub struct OrganizationReader {
    client: Client,
    cache_at_most: Duration,
    cached_for_times: u32,
    cached: Mutex<Option<Cached>>,
    reading: Mutex<()>,
    clock: Clock,
}

/// What was read, and whether from the cache.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The organization; `None` when the account is in none.
    pub organization: Option<Arc<Organization>>,
    /// Whether it may be out of date. Read again before refusing a target that it does not contain.
    pub cached: bool,
}

impl OrganizationReader {
    /// A reader that caches the organization for `cache_at_most` at the longest.
    pub fn new(client: Client, cache_at_most: Duration, clock: Clock) -> Self {
        Self {
            client,
            cache_at_most,
            cached_for_times: CACHED_FOR_TIMES,
            cached: Mutex::new(None),
            reading: Mutex::new(()),
            clock,
        }
    }

    /// The same with another multiple of the time that reading took.
    pub fn cached_for_times(self, cached_for_times: u32) -> Self {
        Self { cached_for_times, ..self }
    }

    /// The organization, at least to the depth of `scope`. The absence of an organization is never cached: one may be
    /// created at any moment.
    ///
    /// # Errors
    /// When a call to AWS Organizations fails.
    pub async fn read(&self, scope: Scope) -> Result<Reading, AwsError> {
        let cached = self.cached.lock().await.clone();
        if let Some(cached) = cached.filter(|cached| cached.scope >= scope && Instant::now() < cached.until) {
            return Ok(Reading { organization: Some(cached.organization), cached: true });
        }
        self.read_again(scope).await
    }

    /// The organization as it was at `moment` or later. Concurrent callers wait for one reading.
    ///
    /// # Errors
    /// When a call to AWS Organizations fails.
    pub async fn read_since(&self, moment: Timestamp, scope: Scope) -> Result<Reading, AwsError> {
        let _one_reading = self.reading.lock().await;
        let cached = self.cached.lock().await.clone();
        match cached.filter(|cached| cached.scope >= scope && cached.read_at >= moment) {
            Some(cached) => Ok(Reading { organization: Some(cached.organization), cached: false }),
            None => self.read_again(scope).await,
        }
    }

    /// The organization as it is now.
    ///
    /// # Errors
    /// When a call to AWS Organizations fails.
    pub async fn read_again(&self, scope: Scope) -> Result<Reading, AwsError> {
        let (started, read_at) = (Instant::now(), self.clock.now());
        let organization = self.fetch(scope).await?.map(Arc::new);
        let until =
            Instant::now() + self.cache_at_most.min(started.elapsed().saturating_mul(self.cached_for_times));
        let cached = organization.clone().map(|organization| Cached { read_at, until, scope, organization });
        *self.cached.lock().await = cached;
        Ok(Reading { organization, cached: false })
    }

    async fn fetch(&self, scope: Scope) -> Result<Option<Organization>, AwsError> {
        const CALL: &str = "organizations:DescribeOrganization";
        let answer = match self.client.describe_organization().send().await.explain(CALL, "this account") {
            Err(error) if error.fault() == Fault::Missing => return Ok(None),
            answer => answer?,
        };
        let found =
            answer.organization().ok_or_else(|| unusable_answer(CALL, "this account", "no organization"))?;
        let id = found
            .id()
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| unusable_answer(CALL, "this account", "an organization without an id"))?;
        let arn = found
            .arn()
            .and_then(|arn| arn.parse().ok())
            .ok_or_else(|| unusable_answer(CALL, "this account", "an organization without an ARN"))?;
        let mut organization = Organization {
            id,
            arn,
            roots: BTreeSet::new(),
            units: BTreeMap::new(),
            accounts: BTreeMap::new(),
        };
        if scope == Scope::Accounts {
            organization.accounts = self.accounts().await?;
            return Ok(Some(organization));
        }
        self.fetch_tree(&mut organization).await?;
        if scope == Scope::Tags {
            self.fetch_tags(&mut organization).await?;
        }
        Ok(Some(organization))
    }

    async fn accounts(&self) -> Result<BTreeMap<AccountId, Account>, AwsError> {
        let mut pages = self.client.list_accounts().into_paginator().send();
        let mut accounts = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.explain("organizations:ListAccounts", "the organization")?;
            accounts.extend(page.accounts().iter().filter_map(|account| read_account(account, None)));
        }
        Ok(accounts)
    }

    /// Reads level by level: the parents of one level are read concurrently.
    async fn fetch_tree(&self, organization: &mut Organization) -> Result<(), AwsError> {
        let mut pages = self.client.list_roots().into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.explain("organizations:ListRoots", "the organization")?;
            organization
                .roots
                .extend(page.roots().iter().filter_map(|root| root.id()?.parse::<RootId>().ok()));
        }
        let mut level: Vec<Parent> = organization.roots.iter().cloned().map(Parent::Root).collect();
        while !level.is_empty() {
            let children: Vec<Children> = stream::iter(level)
                .map(|parent| self.children(parent))
                .buffer_unordered(CONCURRENT_READS)
                .try_collect()
                .await?;
            level = Vec::new();
            for Children { units, accounts } in children {
                level.extend(units.keys().cloned().map(Parent::Ou));
                organization.units.extend(units);
                organization.accounts.extend(accounts);
            }
        }
        Ok(())
    }

    async fn children(&self, parent: Parent) -> Result<Children, AwsError> {
        let id = match &parent {
            Parent::Root(id) => id.as_str(),
            Parent::Ou(id) => id.as_str(),
        };
        let (units, accounts) =
            futures::future::try_join(self.units_in(id, &parent), self.accounts_in(id, &parent)).await?;
        Ok(Children { units, accounts })
    }

    async fn units_in(&self, id: &str, parent: &Parent) -> Result<BTreeMap<OuId, Unit>, AwsError> {
        const CALL: &str = "organizations:ListOrganizationalUnitsForParent";
        let mut pages =
            self.client.list_organizational_units_for_parent().parent_id(id).into_paginator().send();
        let mut units = BTreeMap::new();
        while let Some(page) = pages.next().await {
            for unit in page.explain(CALL, id)?.organizational_units() {
                match (unit.id().and_then(|id| id.parse().ok()), unit.arn().and_then(|arn| arn.parse().ok()))
                {
                    (Some(id), Some(arn)) => {
                        units.insert(id, Unit { arn, parent: parent.clone(), tags: BTreeMap::new() })
                    }
                    _ => return Err(unusable_answer(CALL, id, "an OU without id or ARN")),
                };
            }
        }
        Ok(units)
    }

    async fn accounts_in(&self, id: &str, parent: &Parent) -> Result<BTreeMap<AccountId, Account>, AwsError> {
        let mut pages = self.client.list_accounts_for_parent().parent_id(id).into_paginator().send();
        let mut accounts = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.explain("organizations:ListAccountsForParent", id)?;
            accounts.extend(page.accounts().iter().filter_map(|account| read_account(account, Some(parent))));
        }
        Ok(accounts)
    }

    async fn fetch_tags(&self, organization: &mut Organization) -> Result<(), AwsError> {
        let units = organization.units.keys().map(|id| id.to_string());
        let active = organization.accounts.iter().filter(|(_, account)| account.active);
        let ids: Vec<String> = units.chain(active.map(|(id, _)| id.to_string())).collect();
        let mut tags: BTreeMap<String, BTreeMap<String, String>> = stream::iter(ids)
            .map(|id| async move { Ok::<_, AwsError>((id.clone(), self.tags(&id).await?)) })
            .buffer_unordered(CONCURRENT_READS)
            .try_collect()
            .await?;
        for (id, unit) in &mut organization.units {
            unit.tags = tags.remove(id.as_str()).unwrap_or_default();
        }
        for (id, account) in &mut organization.accounts {
            account.tags = tags.remove(id.as_str()).unwrap_or_default();
        }
        Ok(())
    }

    async fn tags(&self, id: &str) -> Result<BTreeMap<String, String>, AwsError> {
        let mut pages = self.client.list_tags_for_resource().resource_id(id).into_paginator().items().send();
        let mut tags = BTreeMap::new();
        while let Some(tag) = pages.next().await {
            let tag = tag.explain("organizations:ListTagsForResource", id)?;
            tags.insert(tag.key().to_owned(), tag.value().to_owned());
        }
        Ok(tags)
    }
}

struct Children {
    units: BTreeMap<OuId, Unit>,
    accounts: BTreeMap<AccountId, Account>,
}

fn read_account(account: &AwsAccount, parent: Option<&Parent>) -> Option<(AccountId, Account)> {
    let id = account.id()?.parse().ok()?;
    Some((id, Account { parent: parent.cloned(), active: is_active(account), tags: BTreeMap::new() }))
}

/// `State` replaces `Status`, which AWS retires. Where `State` is missing, `Status` decides. Source:
/// <https://docs.aws.amazon.com/organizations/latest/APIReference/API_Account.html>
#[allow(deprecated, reason = "Status is what Regions and simulations without State still answer")]
fn is_active(account: &AwsAccount) -> bool {
    match account.state() {
        Some(state) => *state == AccountState::Active,
        None => account.status() == Some(&AccountStatus::Active),
    }
}
