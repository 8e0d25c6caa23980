//! Accounts that join or leave the organization, or lose a tag.

use anyhow::{Context, Result};
use aws_sdk_organizations::types::{HandshakeParty, HandshakePartyType};

use super::Account;

impl Account {
    /// Adds `other` to the organization of this management account: invites it, and accepts as `other`.
    pub async fn add_to_organization(&self, other: &Self) -> Result<()> {
        let party = HandshakeParty::builder().id(&other.id).r#type(HandshakePartyType::Account).build()?;
        let request = self.organizations.invite_account_to_organization().target(party);
        let answer = request.send().await.context("InviteAccountToOrganization")?;
        let handshake = answer.handshake().and_then(|made| made.id()).context("no handshake")?;
        let request = other.organizations.accept_handshake().handshake_id(handshake);
        request.send().await.context("AcceptHandshake")?;
        Ok(())
    }

    /// Removes a tag from an account or OU of the organization.
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

    /// Leaves the organization, as a member account.
    pub async fn leave_organization(&self) -> Result<()> {
        self.organizations.leave_organization().send().await.context("LeaveOrganization")?;
        Ok(())
    }
}
