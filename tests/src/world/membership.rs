//! Accounts that leave the organization, or lose what they were tagged with.

use anyhow::{Context, Result};

use super::Account;

impl Account {
    /// Takes a tag off an account or OU of the organization.
    pub async fn untag_in_organization(&self, id: &str, key: &str) -> Result<()> {
        let request = self.organizations.untag_resource().resource_id(id).tag_keys(key);
        request.send().await.context("UntagResource")?;
        Ok(())
    }

    /// Removes an account from the organization, as its management account.
    pub async fn remove_account(&self, account: &str) -> Result<()> {
        let request = self.organizations.remove_account_from_organization().account_id(account);
        request.send().await.context("RemoveAccountFromOrganization")?;
        Ok(())
    }

    /// Leaves the organization, as the member that this account is.
    pub async fn leave_organization(&self) -> Result<()> {
        self.organizations.leave_organization().send().await.context("LeaveOrganization")?;
        Ok(())
    }
}
