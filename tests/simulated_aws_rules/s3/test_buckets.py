"""S3: buckets of a template, their objects, and what a bucket policy allows."""

import json

import boto3
import pytest
from botocore.exceptions import ClientError
from running import EXTERNAL_ACCOUNT, TARGET_ACCOUNT


def test_a_bucket_of_a_template_has_what_the_template_says(simulation):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html"""
    s3, bucket = simulation.client("s3"), {"Bucket": simulation.outputs["BucketName"]}
    blocked = s3.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"]
    assert len(blocked) == 4 and all(blocked.values())
    [rule] = s3.get_bucket_encryption(**bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert s3.get_bucket_versioning(**bucket)["Status"] == "Enabled"
    assert s3.get_bucket_ownership_controls(**bucket)["OwnershipControls"]["Rules"] == [
        {"ObjectOwnership": "BucketOwnerEnforced"}
    ]
    rules = {one["ID"]: one for one in s3.get_bucket_lifecycle_configuration(**bucket)["Rules"]}
    assert rules["expire"]["Expiration"] == {"Days": 365}
    assert rules["expire"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert rules["uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert "SecureTransport" in s3.get_bucket_policy(**bucket)["Policy"]


def test_objects_are_put_read_and_listed_in_pages(simulation):
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html"""
    s3, bucket = simulation.client("s3"), simulation.outputs["BucketName"]
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"reviews/{number}.json", Body=b"{}", ContentType="application/json")
    read = s3.get_object(Bucket=bucket, Key="reviews/1.json")
    assert (read["Body"].read(), read["ContentType"]) == (b"{}", "application/json")
    first = s3.list_objects_v2(Bucket=bucket, Prefix="reviews/", MaxKeys=2)
    rest = s3.list_objects_v2(Bucket=bucket, Prefix="reviews/", ContinuationToken=first["NextContinuationToken"])
    assert [one["Key"] for one in first["Contents"] + rest["Contents"]] == [f"reviews/{n}.json" for n in range(3)]
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="reviews/none.json")


def test_a_policy_allows_another_account_what_it_names_and_no_other_account(simulation):
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-walkthroughs-managing-access-example2.html"""
    bucket = simulation.outputs["BucketName"]
    for key in ("shared/one.html", "own/one.html"):
        simulation.client("s3").put_object(Bucket=bucket, Key=key, Body=b"page")
    member, external_account = simulation.client("s3", TARGET_ACCOUNT), simulation.client("s3", EXTERNAL_ACCOUNT)
    assert member.get_object(Bucket=bucket, Key="shared/one.html")["Body"].read() == b"page"
    for client, key in ((member, "own/one.html"), (external_account, "shared/one.html")):
        with pytest.raises(ClientError, match="AccessDenied"):
            client.get_object(Bucket=bucket, Key=key)
    with pytest.raises(ClientError, match="AccessDenied"):
        member.put_object(Bucket=bucket, Key="shared/two.html", Body=b"page")


def test_a_role_of_the_owners_account_needs_its_own_policy(simulation):
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-s3-evaluates-access-control.html"""
    bucket, iam, name = simulation.outputs["BucketName"], simulation.client("iam"), "report-writer"
    writes = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/written/*"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument='{"Statement": []}')["Role"]["Arn"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": [writes]})
    iam.put_role_policy(RoleName=name, PolicyName="write", PolicyDocument=policy)
    session = simulation.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    writer = boto3.client(
        "s3", endpoint_url=simulation.endpoint_url, region_name="us-east-1", aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"], aws_session_token=session["SessionToken"],
    )  # fmt: skip
    writer.put_object(Bucket=bucket, Key="written/one.json", Body=b"{}")
    with pytest.raises(ClientError, match="AccessDenied"):
        writer.put_object(Bucket=bucket, Key="elsewhere/one.json", Body=b"{}")
    with pytest.raises(ClientError, match="AccessDenied"):
        writer.get_object(Bucket=bucket, Key="written/one.json")
