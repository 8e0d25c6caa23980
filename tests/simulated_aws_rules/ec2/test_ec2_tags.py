"""Tags of images and snapshots: which tags EC2 accepts."""

from world import error_of


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
