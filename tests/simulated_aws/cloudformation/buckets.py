"""Adds what moto ignores in a template's buckets: public access block, versioning, lifecycle, ownership and bucket policy.

Lifecycle rules are stored and shown; they never delete anything.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucketpolicy.html
"""

import json
from typing import Any

from moto.s3.models import FakeBucket, s3_backends

from simulated_aws.cloudformation.resource_type import Addition, Properties


class BucketPolicy(Addition):
    TYPE = "AWS::S3::BucketPolicy"

    @classmethod
    def create(cls, properties: Properties, account_id: str, region: str) -> None:
        document = json.dumps(properties["PolicyDocument"]).encode()
        s3_backends[account_id]["aws"].put_bucket_policy(properties["Bucket"], document)


    @classmethod
    def remove(cls, properties: Properties, account_id: str, region: str) -> None:
        s3_backends[account_id]["aws"].delete_bucket_policy(properties["Bucket"])


def _completing(create: Any) -> Any:
    def call(
        cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **kwargs: Any
    ) -> FakeBucket:
        bucket = create(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs)
        _complete(s3_backends[account_id]["aws"], resource_name, cloudformation_json.get("Properties", {}))
        return bucket

    return classmethod(call)


def _completing_update(update: Any) -> Any:
    def call(
        cls: Any, original_resource: FakeBucket, new_resource_name: str, cloudformation_json: Any, account_id: str,
        region_name: str,
    ) -> FakeBucket:
        bucket = update(cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name)
        _complete(s3_backends[account_id]["aws"], bucket.name, cloudformation_json.get("Properties", {}))
        return bucket

    return classmethod(call)


def _complete(backend: Any, name: str, properties: Properties) -> None:
    if "PublicAccessBlockConfiguration" in properties:
        backend.put_public_access_block(name, properties["PublicAccessBlockConfiguration"])
    if "VersioningConfiguration" in properties:
        backend.put_bucket_versioning(name, properties["VersioningConfiguration"]["Status"])
    if "LifecycleConfiguration" in properties:
        rules = [_rule(rule) for rule in properties["LifecycleConfiguration"]["Rules"]]
        backend.put_bucket_lifecycle_configuration(name, rules)
    if "OwnershipControls" in properties:
        [rule] = properties["OwnershipControls"]["Rules"]
        backend.put_bucket_ownership_controls(name, rule["ObjectOwnership"])


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule in the form of PutBucketLifecycleConfiguration.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRule.html
    """
    prefix = {"Prefix": rule.get("Prefix", "")}
    converted: dict[str, Any] = {"ID": rule.get("Id"), "Status": rule["Status"], "Filter": prefix}
    if "ExpirationInDays" in rule:
        converted["Expiration"] = {"Days": rule["ExpirationInDays"]}
    elif "ExpiredObjectDeleteMarker" in rule:
        converted["Expiration"] = {"ExpiredObjectDeleteMarker": rule["ExpiredObjectDeleteMarker"]}
    days = rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays", rule.get("NoncurrentVersionExpirationInDays"))
    if days is not None:
        converted["NoncurrentVersionExpiration"] = {"NoncurrentDays": days}
    if "AbortIncompleteMultipartUpload" in rule:
        converted["AbortIncompleteMultipartUpload"] = rule["AbortIncompleteMultipartUpload"]
    if "Transitions" in rule:
        converted["Transition"] = [
            {"Days": one["TransitionInDays"], "StorageClass": one["StorageClass"]} for one in rule["Transitions"]
        ]
    return {name: value for name, value in converted.items() if value is not None}


def install() -> None:
    """Adds the missing properties when moto creates or updates a bucket."""
    FakeBucket.create_from_cloudformation_json = _completing(FakeBucket.create_from_cloudformation_json.__func__)
    FakeBucket.update_from_cloudformation_json = _completing_update(FakeBucket.update_from_cloudformation_json.__func__)
