"""Decides who may use a KMS key, by its policy and its KMS grants.

It assumes that the accounts' own IAM policies allow everything, and evaluates only the key's side.

https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html
"""

from moto.kms.models import Key

from simulated_aws.core.accounts import Caller
from simulated_aws.iam.policy_evaluation import THIS_KEY, Context, Request, allows
from simulated_aws.organizations import membership

LAUNCH_ACTIONS = ("kms:DescribeKey", "kms:Decrypt", "kms:ReEncryptFrom", "kms:CreateGrant")
ENCRYPT_ACTIONS = ("kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptTo", "kms:CreateGrant")


def may_call(key: Key, caller: Caller, action: str) -> bool:
    """Whether the caller may make this KMS call on the key directly, without another service in between."""
    context = _principal_context(caller)
    if action == "kms:CreateGrant":
        context["kms:GrantIsForAWSResource"] = ["false"]
    return allows(key.policy, Request(caller, action, context, THIS_KEY)) or _is_granted(key, caller, action)


def ec2_may_read_with(key: Key, caller: Caller) -> bool:
    """Whether EC2, acting for the caller, can make a volume or a copy of a snapshot that this key encrypts.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/share-amis-with-organizations-and-OUs.html#allow-org-ou-to-use-key
    """
    return _ec2_may(LAUNCH_ACTIONS, key, caller)


def ec2_may_encrypt_with(key: Key, caller: Caller) -> bool:
    """Whether EC2, acting for the caller, can encrypt a new volume or snapshot with this key.

    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html#ebs-encryption-permissions
    """
    return _ec2_may(ENCRYPT_ACTIONS, key, caller)


def _ec2_may(actions: tuple[str, ...], key: Key, caller: Caller) -> bool:
    """EC2 also needs the key to be enabled.

    https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
    """
    if key.key_state != "Enabled":
        return False
    return all(_ec2_may_do(action, key, caller) for action in actions)


def _ec2_may_do(action: str, key: Key, caller: Caller) -> bool:
    context = _principal_context(caller)
    context["kms:ViaService"] = [f"ec2.{key.region}.amazonaws.com"]
    if action == "kms:CreateGrant":
        context["kms:GrantIsForAWSResource"] = ["true"]
    return allows(key.policy, Request(caller, action, context, THIS_KEY)) or _is_granted(key, caller, action)


def _principal_context(caller: Caller) -> Context:
    """The condition keys that AWS sets for every request.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    context = {
        "aws:PrincipalAccount": [caller.account_id],
        "aws:PrincipalArn": [caller.role_arn or caller.arn],
        "kms:CallerAccount": [caller.account_id],
    }
    organization = membership.organization_id(caller.account_id)
    if organization is not None:
        context["aws:PrincipalOrgID"] = [organization]
        context["aws:PrincipalOrgPaths"] = [membership.organization_path(caller.account_id)]
    return context


def _is_granted(key: Key, caller: Caller, action: str) -> bool:
    """A KMS grant allows its grantee its operations, like a statement. Constraints are not evaluated.

    https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
    """
    itself = {caller.account_id, f"arn:aws:iam::{caller.account_id}:root", caller.arn, caller.role_arn}
    operation = action.removeprefix("kms:")
    return any(
        grant.grantee_principal in itself and operation in grant.operations for grant in list(key.grants.values())
    )
