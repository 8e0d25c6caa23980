"""AWS Organizations: who may call what, page sizes, and the status of a closed account."""

from world import HUB, error_of


def test_the_hub_that_creates_the_organization_manages_it(aws):
    """https://docs.aws.amazon.com/organizations/latest/APIReference/API_CreateOrganization.html"""
    organization, arn, root = aws.organization()
    described = aws.organizations.describe_organization()["Organization"]
    assert (described["Id"], described["Arn"], described["MasterAccountId"]) == (organization, arn, HUB)
    assert aws.organizations.list_accounts()["Accounts"][0]["Id"] == HUB
    ou, ou_arn = aws.ou(root, "workloads")
    member = aws.member("member", ou)
    aws.organizations.tag_resource(ResourceId=member, Tags=[{"Key": "team", "Value": "one"}])
    assert aws.organizations.list_tags_for_resource(ResourceId=member)["Tags"] == [{"Key": "team", "Value": "one"}]
    assert aws.organizations.list_parents(ChildId=member)["Parents"] == [{"Id": ou, "Type": "ORGANIZATIONAL_UNIT"}]
    assert aws.organizations.list_parents(ChildId=ou)["Parents"] == [{"Id": root, "Type": "ROOT"}]
    below = aws.organizations.list_organizational_units_for_parent(ParentId=root)["OrganizationalUnits"]
    assert [(one["Id"], one["Arn"]) for one in below] == [(ou, ou_arn)]
    assert [one["Id"] for one in aws.organizations.list_accounts_for_parent(ParentId=ou)["Accounts"]] == [member]


def test_any_member_describes_the_organization_and_no_member_lists_it(aws):
    """https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccounts.html"""
    organization, _, root = aws.organization()
    member = aws.client("organizations", aws.member("member"))
    assert member.describe_organization()["Organization"]["Id"] == organization
    assert error_of(member.list_accounts) == "AccessDeniedException"
    assert error_of(member.list_roots) == "AccessDeniedException"
    assert error_of(member.list_accounts_for_parent, ParentId=root) == "AccessDeniedException"
    assert error_of(member.list_parents, ChildId=HUB) == "AccessDeniedException"
    assert error_of(member.describe_account, AccountId=HUB) == "AccessDeniedException"


def test_a_delegated_administrator_reads_but_does_not_write(aws):
    """https://docs.aws.amazon.com/organizations/latest/userguide/orgs_delegate_policies.html"""
    _, _, root = aws.organization()
    account = aws.member("administrator")
    aws.organizations.register_delegated_administrator(AccountId=account, ServicePrincipal="ssm.amazonaws.com")
    administrator = aws.client("organizations", account)
    assert {one["Id"] for one in administrator.list_accounts()["Accounts"]} == {HUB, account}
    assert administrator.list_parents(ChildId=account)["Parents"][0]["Id"] == root
    assert administrator.list_tags_for_resource(ResourceId=account)["Tags"] == []
    assert administrator.describe_account(AccountId=account)["Account"]["Id"] == account
    refused = error_of(administrator.create_account, AccountName="more", Email="more@example.com")
    assert refused == "AccessDeniedException"


def test_an_account_in_no_organization_gets_an_error(aws):
    """https://docs.aws.amazon.com/organizations/latest/APIReference/API_DescribeOrganization.html"""
    aws.organization()
    external_account = aws.client("organizations", aws.external_account())
    assert error_of(external_account.describe_organization) == "AWSOrganizationsNotInUseException"
    assert error_of(external_account.list_accounts) == "AWSOrganizationsNotInUseException"


def test_lists_come_in_pages_of_twenty(aws):
    """https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccounts.html (MaxResults)"""
    _, _, root = aws.organization()
    members = {aws.member(f"member-{number}") for number in range(24)}
    ous = {aws.ou(root, f"ou-{number}")[0] for number in range(21)}
    first = aws.organizations.list_accounts()
    assert len(first["Accounts"]) == 20 and first["NextToken"]
    pages = aws.organizations.get_paginator("list_accounts").paginate(PaginationConfig={"PageSize": 10})
    assert {one["Id"] for page in pages for one in page["Accounts"]} == members | {HUB}
    pages = list(aws.organizations.get_paginator("list_accounts_for_parent").paginate(ParentId=root))
    assert [len(page["Accounts"]) for page in pages] == [20, 5]
    pages = aws.organizations.get_paginator("list_organizational_units_for_parent").paginate(ParentId=root)
    assert {one["Id"] for page in pages for one in page["OrganizationalUnits"]} == ous
    pages = aws.organizations.get_paginator("list_children").paginate(ParentId=root, ChildType="ACCOUNT")
    assert {one["Id"] for page in pages for one in page["Children"]} == members | {HUB}
    assert error_of(aws.organizations.list_accounts, NextToken="made up") == "InvalidInputException"


def test_a_closed_account_is_suspended_and_its_state_closed(aws):
    """https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_accounts_account_state.html"""
    aws.organization()
    account = aws.member("closing")
    described = aws.organizations.describe_account(AccountId=account)["Account"]
    assert (described["Status"], described["State"]) == ("ACTIVE", "ACTIVE")
    aws.organizations.close_account(AccountId=account)
    described = aws.organizations.describe_account(AccountId=account)["Account"]
    assert (described["Status"], described["State"]) == ("SUSPENDED", "CLOSED")


def test_unknown_accounts_and_parents_are_errors(aws):
    """https://docs.aws.amazon.com/organizations/latest/APIReference/API_ListAccountsForParent.html (Errors)"""
    aws.organization()
    describe = aws.organizations.describe_account
    assert error_of(describe, AccountId="123456789012") == "AccountNotFoundException"
    listed = aws.organizations.list_accounts_for_parent
    assert error_of(listed, ParentId="ou-ab12-cdef3456") == "ParentNotFoundException"


def test_credentials_decide_the_account(aws):
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""
    external_account = aws.external_account("000000000042")
    assert aws.client("sts").get_caller_identity()["Account"] == HUB
    identity = aws.client("sts", external_account).get_caller_identity()
    assert identity["Account"] == external_account
    assert identity["Arn"] == f"arn:aws:sts::{external_account}:assumed-role/tester/rules"
