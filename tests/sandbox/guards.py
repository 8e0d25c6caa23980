"""What must be true before anything is made or removed: the account is the intended one. And before anything is made:
ami-share is not deployed in it.
"""

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.account import Account

# An output that only ami-share's own stack has.
OUR_OUTPUT = "ShareWorkflowArn"


class Refused(Exception):
    """Why the checks do not run here."""


def is_meant(account: Account, expected: str) -> None:
    """Raises Refused where the credentials belong to another account, or are missing."""
    try:
        seen = account.id
    except (ClientError, BotoCoreError) as error:
        raise Refused(f"there are no valid credentials: {error}") from error
    if seen != expected:
        raise Refused("these credentials do not belong to the account that --account names")


def has_no_ami_share(account: Account) -> None:
    """Raises Refused where ami-share is deployed."""
    try:
        pages = account.client("cloudformation").get_paginator("describe_stacks").paginate()
        outputs = {output["OutputKey"] for page in pages for stack in page["Stacks"] for output in stack.get("Outputs", [])}
    except (ClientError, BotoCoreError) as error:
        raise Refused(f"cannot find out whether ami-share is deployed here: {error}") from error
    if OUR_OUTPUT in outputs:
        raise Refused("ami-share is deployed in this account and Region; use an account without it")
