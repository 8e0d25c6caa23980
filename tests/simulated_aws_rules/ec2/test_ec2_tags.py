"""Tags of images and snapshots: which tags EC2 accepts."""

from moto.ec2.models import ec2_backends
from world import HUB, error_of


def tag(aws, resource, key, value):
    return aws.ec2().create_tags(Resources=[resource], Tags=[{"Key": key, "Value": value}])


def test_a_value_has_256_characters_and_a_key_128(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions"""
    image = aws.image()
    tag(aws, image, "k" * 128, "ü" * 256)
    assert error_of(tag, aws, image, "key", "v" * 257) == "InvalidParameterValue"
    assert error_of(tag, aws, image, "k" * 129, "value") == "InvalidParameterValue"
    assert len(aws.describe_image(image)["Tags"]) == 1


def test_keys_of_aws_are_reserved(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions"""
    assert error_of(tag, aws, aws.image(), "aws:mine", "value") == "InvalidParameterValue"


def test_a_resource_holds_fifty_tags(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions"""
    image = aws.image()
    many = [{"Key": str(number), "Value": ""} for number in range(50)]
    aws.ec2().create_tags(Resources=[image], Tags=many)
    assert error_of(tag, aws, image, "one more", "") == "TagLimitExceeded"


def test_an_image_that_is_gone_takes_no_tags(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html (InvalidAMIID.NotFound)"""
    image = aws.image()
    aws.ec2().deregister_image(ImageId=image)
    assert error_of(tag, aws, image, "key", "value") == "InvalidAMIID.NotFound"
    assert error_of(tag, aws, "ami-0123456789abcdef0", "key", "value") == "InvalidAMIID.NotFound"


def test_a_request_without_tags_deletes_all_tags_of_users(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html (Tag.N)

    The model confirms it: "If you omit this parameter, we delete all user-defined tags for the specified resources."
    """
    image, other = aws.image(), aws.image()
    for resource in (image, other):
        tag(aws, resource, "one", "1")
        tag(aws, resource, "two", "2")
    ec2_backends[HUB]["us-east-1"].tags[image]["aws:of-aws"] = "stays"
    aws.ec2().delete_tags(Resources=[image])
    assert aws.describe_image(image)["Tags"] == [{"Key": "aws:of-aws", "Value": "stays"}]
    assert len(aws.describe_image(other)["Tags"]) == 2


def test_a_tag_is_deleted_by_its_key_or_only_with_a_certain_value(aws):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html (Tag.N), confirmed by the model"""
    image = aws.image()
    tag(aws, image, "key", "value")
    aws.ec2().delete_tags(Resources=[image], Tags=[{"Key": "key", "Value": ""}])
    assert aws.describe_image(image)["Tags"] == [{"Key": "key", "Value": "value"}]
    aws.ec2().delete_tags(Resources=[image], Tags=[{"Key": "key"}])
    assert aws.describe_image(image).get("Tags", []) == []
