"""Who sees which images and snapshots."""

from world import HUB, error_of, policy, use_of_key


def ids_of(answer):
    return {image["ImageId"] for image in answer["Images"]}


def test_an_image_is_its_owners_until_it_is_shared(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharingamis-explicit.html"""
    image, account, another = aws.image(), aws.external_account(), aws.external_account("444455556666")
    assert aws.sees(HUB, image) and not aws.sees(account, image)
    aws.share(image, UserId=account)
    assert aws.sees(account, image) and not aws.sees(another, image)


def test_an_ou_means_every_account_below_it_at_this_moment(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/share-amis-with-organizations-and-OUs.html"""
    _, _, root = aws.organization()
    parent, parent_arn = aws.ou(root, "parent")
    child, _ = aws.ou(parent, "child")
    inside, nested, outside = aws.member("inside", parent), aws.member("nested", child), aws.member("outside")
    image = aws.image()
    aws.share(image, OrganizationalUnitArn=parent_arn)
    assert [aws.sees(account, image) for account in (inside, nested, outside)] == [True, True, False]
    aws.organizations.move_account(AccountId=nested, SourceParentId=child, DestinationParentId=root)
    aws.organizations.move_account(AccountId=outside, SourceParentId=root, DestinationParentId=child)
    assert [aws.sees(account, image) for account in (inside, nested, outside)] == [True, False, True]


def test_an_organization_means_every_account_in_it(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/share-amis-with-organizations-and-OUs.html"""
    _, arn, root = aws.organization()
    member, outsider, image = aws.member("member", aws.ou(root, "workloads")[0]), aws.external_account(), aws.image()
    aws.share(image, OrganizationArn=arn)
    assert aws.sees(member, image) and not aws.sees(outsider, image)


def test_a_public_image_is_everyones(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharingamis-intro.html"""
    image, account = aws.image(), aws.external_account()
    aws.share(image, Group="all")
    assert aws.describe_image(image, account)["Public"] is True
    assert image in ids_of(aws.ec2(account).describe_images(ExecutableUsers=["all"]))


def test_an_image_that_the_caller_does_not_see_is_not_found(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidAMIID.NotFound)"""
    image, account = aws.image(), aws.external_account()
    describe = aws.ec2(account).describe_images
    assert error_of(describe, ImageIds=[image]) == "InvalidAMIID.NotFound"
    assert error_of(describe, ImageIds=["ami-0123456789abcdef0"]) == "InvalidAMIID.NotFound"
    assert error_of(describe, ImageIds=["image-1"]) == "InvalidAMIID.Malformed"


def test_owners_and_executable_users_narrow_the_images(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html (Owner, ExecutableBy)"""
    _, arn, _ = aws.organization()
    account = aws.member("member")
    own, by_id, by_organization = aws.image(account=account), aws.image(), aws.image()
    aws.share(by_id, UserId=account)
    aws.share(by_organization, OrganizationArn=arn)
    describe = aws.ec2(account).describe_images
    assert ids_of(describe()) == {own, by_id, by_organization}
    assert ids_of(describe(Owners=["self"])) == {own}
    assert ids_of(describe(Owners=[HUB])) == {by_id, by_organization}
    assert ids_of(describe(ExecutableUsers=["self"])) == {by_id, by_organization}
    assert ids_of(aws.ec2().describe_images(ExecutableUsers=[account])) == {by_id}, (
        "shares by organization are left out"
    )


def test_filters_narrow_the_images(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html (Filter)"""
    plain, encrypted = aws.image(name="plain"), aws.image(aws.key(), name="encrypted")
    aws.ec2().create_tags(Resources=[plain], Tags=[{"Key": "ami-share:with", "Value": "org"}])
    wanted = [
        ("tag:ami-share:with", "org", {plain}),
        ("tag-key", "ami-share:*", {plain}),
        ("name", "enc*", {encrypted}),
        ("block-device-mapping.snapshot-id", aws.snapshot_of(encrypted)["SnapshotId"], {encrypted}),
        ("block-device-mapping.encrypted", "false", {plain}),
        ("state", "available", {plain, encrypted}),
        ("image-id", plain, {plain}),
        ("is-public", "true", set()),
    ]
    for name, value, found in wanted:
        assert ids_of(aws.ec2().describe_images(Filters=[{"Name": name, "Values": [value]}])) == found


def test_filtered_images_come_in_pages_too_and_disabled_ones_only_on_request(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html (IncludeDisabled)"""
    first, other, second = aws.image(), aws.image(), aws.image()
    for image, key in ((first, "ami-share:with"), (other, "Name"), (second, "ami-share:status")):
        aws.ec2().create_tags(Resources=[image], Tags=[{"Key": key, "Value": "x"}])
    managed = {"Owners": ["self"], "Filters": [{"Name": "tag-key", "Values": ["ami-share:*"]}]}
    pages = aws.ec2().get_paginator("describe_images").paginate(**managed, PaginationConfig={"PageSize": 1})
    assert [[one["ImageId"] for one in page["Images"]] for page in pages] == [[first], [second]]
    aws.ec2().disable_image(ImageId=first)
    assert ids_of(aws.ec2().describe_images(**managed)) == {second}
    assert ids_of(aws.ec2().describe_images(**managed, IncludeDisabled=True)) == {first, second}
    assert ids_of(aws.ec2().describe_images(ImageIds=[first])) == {first}


def test_the_owners_tags_are_not_seen_by_others_but_for_shared_tags(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharing-amis.html (Considerations)"""
    image, account = aws.image(), aws.external_account()
    shared_tag = {"Key": "ec2:SharedTag/os", "Value": "al2023"}
    aws.ec2().create_tags(Resources=[image], Tags=[{"Key": "ami-share:with", "Value": account}, shared_tag])
    aws.share(image, UserId=account)
    aws.ec2(account).create_tags(Resources=[image], Tags=[{"Key": "mine", "Value": "yes"}])
    seen = aws.describe_image(image, account)["Tags"]
    assert seen == [{"Key": "mine", "Value": "yes"}, shared_tag]
    assert {"Key": "mine", "Value": "yes"} not in aws.describe_image(image)["Tags"]


def test_snapshots_are_seen_by_the_accounts_that_they_are_shared_with(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html"""
    snapshot, account = aws.snapshot(aws.key()), aws.external_account()
    describe = aws.ec2(account).describe_snapshots
    assert error_of(describe, SnapshotIds=[snapshot]) == "InvalidSnapshot.NotFound"
    aws.ec2().modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission={"Add": [{"UserId": account}]})
    assert describe(SnapshotIds=[snapshot])["Snapshots"][0]["OwnerId"] == HUB
    assert [one["SnapshotId"] for one in describe(RestorableByUserIds=["self"])["Snapshots"]] == [snapshot]
    assert describe(OwnerIds=["self"])["Snapshots"] == []


def test_images_and_snapshots_come_in_pages(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/DeveloperGuide/ec2-api-pagination.html"""
    images = {aws.image() for _ in range(5)}
    pages = list(aws.ec2().get_paginator("describe_images").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["Images"]) for page in pages] == [2, 2, 1]
    assert {image["ImageId"] for page in pages for image in page["Images"]} == images
    pages = list(aws.ec2().get_paginator("describe_snapshots").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["Snapshots"]) for page in pages] == [5]
    assert error_of(aws.ec2().describe_images, MaxResults=5, NextToken="made up") == "InvalidNextToken"


def test_an_account_copies_an_image_only_if_its_snapshots_and_its_key_allow_it(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/copy-ami-permissions.html"""
    key, account = aws.key(), aws.external_account()
    image = aws.image(key)
    copy = {"SourceImageId": image, "SourceRegion": "us-east-1", "Name": "copy"}
    assert error_of(aws.ec2(account).copy_image, **copy) == "InvalidAMIID.NotFound"
    aws.share(image, UserId=account)
    assert error_of(aws.ec2(account).copy_image, **copy) == "InvalidRequest"
    snapshot = aws.snapshot_of(image)["SnapshotId"]
    aws.ec2().modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission={"Add": [{"UserId": account}]})
    assert error_of(aws.ec2(account).copy_image, **copy) == "InvalidRequest"
    allowing = policy(*use_of_key({"AWS": f"arn:aws:iam::{account}:root"}))
    aws.kms().put_key_policy(KeyId=key, PolicyName="default", Policy=allowing)
    copied = aws.ec2(account).copy_image(**copy)["ImageId"]
    aws.wait_until_available(copied, account)
    assert aws.snapshot_of(copied, account)["OwnerId"] == account
