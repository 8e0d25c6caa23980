//! Changes of the organization by its management account.

use anyhow::{Context, Result};

use super::Account;

impl Account {
    /// Makes an organization with this account as its management account; returns its id.
    pub async fn create_organization(&self) -> Result<String> {
        let answer = self.organizations.create_organization().send().await.context("CreateOrganization")?;
        Ok(answer.organization().and_then(|made| made.id()).context("no organization id")?.to_owned())
    }

    /// The root of the organization.
    pub async fn root(&self) -> Result<String> {
        let answer = self.organizations.list_roots().send().await.context("ListRoots")?;
        Ok(answer.roots().first().and_then(|root| root.id()).context("no root")?.to_owned())
    }

    /// Makes an OU; returns its id.
    pub async fn create_ou(&self, parent: &str, name: &str) -> Result<String> {
        let request = self.organizations.create_organizational_unit().parent_id(parent).name(name);
        let answer = request.send().await.context("CreateOrganizationalUnit")?;
        Ok(answer.organizational_unit().and_then(|unit| unit.id()).context("no OU id")?.to_owned())
    }

    /// Makes an account of the organization, under `parent`; returns its id.
    pub async fn create_account(&self, name: &str, parent: &str) -> Result<String> {
        let request =
            self.organizations.create_account().account_name(name).email(format!("{name}@example.com"));
        let answer = request.send().await.context("CreateAccount")?;
        let status = answer.create_account_status().context("no status")?;
        let account = status.account_id().context("no account id")?.to_owned();
        // New accounts are under the root.
        if parent.starts_with("ou-") {
            self.move_account(&account, &self.root().await?, parent).await?;
        }
        Ok(account)
    }

    /// Makes an account under the root that carries a tag from the start; returns its id.
    pub async fn create_tagged_account(&self, name: &str, key: &str, value: &str) -> Result<String> {
        let tag = aws_sdk_organizations::types::Tag::builder().key(key).value(value).build()?;
        let request = self.organizations.create_account().account_name(name).tags(tag);
        let answer =
            request.email(format!("{name}@example.com")).send().await.context("CreateAccount with tags")?;
        let status = answer.create_account_status().context("no status")?;
        Ok(status.account_id().context("no account id")?.to_owned())
    }

    /// Closes an account of the organization.
    pub async fn close_account(&self, account: &str) -> Result<()> {
        self.organizations.close_account().account_id(account).send().await.context("CloseAccount")?;
        Ok(())
    }

    /// Moves an account of the organization.
    pub async fn move_account(&self, account: &str, from: &str, to: &str) -> Result<()> {
        let request = self.organizations.move_account().account_id(account);
        request.source_parent_id(from).destination_parent_id(to).send().await.context("MoveAccount")?;
        Ok(())
    }

    /// Tags an account or OU of the organization.
    pub async fn tag_in_organization(&self, id: &str, key: &str, value: &str) -> Result<()> {
        let tag = aws_sdk_organizations::types::Tag::builder().key(key).value(value).build()?;
        self.organizations.tag_resource().resource_id(id).tags(tag).send().await.context("TagResource")?;
        Ok(())
    }
}
