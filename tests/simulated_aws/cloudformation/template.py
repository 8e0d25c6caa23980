"""Expands a SAM template into plain CloudFormation, as a deployment does, from local files.

https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-reference.html
"""

import copy
import json
from pathlib import Path
from typing import Any

import boto3
import yaml
from samtranslator.parser.parser import Parser
from samtranslator.public.exceptions import InvalidDocumentException
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

Template = dict[str, Any]

# Where `sam deploy` would put the code. Neither the simulated AWS nor the lint reads it.
_UPLOADED = "s3://uploaded-by-sam-deploy/code.zip"


class TemplateError(Exception):
    """The template cannot be expanded; the message has all reasons of the translator."""


def read(path: Path) -> Template:
    """Reads a template, with CloudFormation's short forms such as `!Ref`."""
    try:
        template: Template = yaml_parse(path.read_text())
    except yaml.YAMLError as error:
        raise TemplateError(f"{path} is not YAML: {error}") from error
    return template


def expand(path: Path, parameters: dict[str, str]) -> Template:
    """Expands the template at `path`. Reads the definitions of state machines from their files, relative to the template."""
    template = copy.deepcopy(read(path))
    for resource in template.get("Resources", {}).values():
        _replace_local_files(resource, path.parent)
    # The translator needs a Region to know the partition; the managed policies that it could look up are not used.
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="us-east-1"))
    try:
        expanded: Template = translator.translate(template, dict(parameters))
    except InvalidDocumentException as error:
        raise TemplateError("; ".join([error.message, *(cause.message for cause in error.causes)])) from error
    finally:
        # The translator counts what it translates, and warns at exit about counts that were not read.
        translator.metrics.publish()
    return expanded


def binaries(path: Path) -> dict[str, str]:
    """The name of each function's binary, by logical id: from the metadata of the build method, or the folder of the code."""
    return {
        logical_id: _binary(resource)
        for logical_id, resource in read(path).get("Resources", {}).items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def set_code(expanded: Template, binaries: dict[str, str]) -> None:
    """Uploads nothing: the name of the binary is the placeholder for the code of a function."""
    for logical_id, binary in binaries.items():
        expanded["Resources"][logical_id]["Properties"]["Code"] = {"ZipFile": binary}


def _binary(resource: dict[str, Any]) -> str:
    properties = resource.get("Metadata", {}).get("BuildProperties", {})
    return str(properties.get("Binary") or Path(resource["Properties"]["CodeUri"]).name)


def _replace_local_files(resource: dict[str, Any], folder: Path) -> None:
    properties = resource.get("Properties", {})
    if resource["Type"] == "AWS::Serverless::Function":
        properties["CodeUri"] = _UPLOADED
    if resource["Type"] == "AWS::Serverless::StateMachine" and isinstance(properties.get("DefinitionUri"), str):
        file = folder / properties.pop("DefinitionUri")
        try:
            text = file.read_text()
            properties["Definition"] = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
        except (OSError, ValueError) as error:
            raise TemplateError(f"{file} is no state machine definition: {error}") from error
