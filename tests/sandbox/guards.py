"""What must be true before anything is made or removed: the account is the one that was meant. And before anything is made:
ami-share does not work in it.
"""

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.account import Account

# An output that only ami-share's own stack has.
OUR_OUTPUT = "ShareWorkflowArn"


class Refused(Exception):
    """Why the checks do not run here."""


def is_meant(account: Account, expected: str) -> None:
    """Raises Refused where the credentials are of another account, or missing."""
    try:
        seen = account.id
    except (ClientError, BotoCoreError) as error:
        raise Refused(f"nobody is signed in: {error}") from error
    if seen != expected:
        raise Refused("these credentials are not of the account that --account names")


def has_no_ami_share(account: Account) -> None:
    """Raises Refused where ami-share is deployed."""
    try:
        pages = account.client("cloudformation").get_paginator("describe_stacks").paginate()
        outputs = {output["OutputKey"] for page in pages for stack in page["Stacks"] for output in stack.get("Outputs", [])}
    except (ClientError, BotoCoreError) as error:
        raise Refused(f"it cannot be told whether ami-share is deployed here: {error}") from error
    if OUR_OUTPUT in outputs:
        raise Refused("ami-share is deployed in this account and Region; use an account without it")
