"""Caches what moto computes at each request, which slows down tests with a thousand accounts. It adds no rule of AWS."""

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import moto.core.responses
import moto.kms.models
import moto.stepfunctions.parser.asl.utils.json_path
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor


def install() -> None:
    """Looks up a service's operations once, makes no RSA key for a symmetric KMS key, and parses the definition of a state
    machine and its paths once.
    """
    moto.core.responses.method_names_from_class = lru_cache(maxsize=None)(moto.core.responses.method_names_from_class)
    generate = moto.kms.models.generate_private_key
    moto.kms.models.generate_private_key = lambda spec: None if spec == "SYMMETRIC_DEFAULT" else generate(spec)
    moto.stepfunctions.parser.asl.utils.json_path.parse = lru_cache(maxsize=None)(
        moto.stepfunctions.parser.asl.utils.json_path.parse
    )
    # Most request threads wait. With the default switch interval, each waits 5 ms for a thread that computes.
    sys.setswitchinterval(0.0005)
    AmazonStateLanguageParser.parse = staticmethod(_reading_once(AmazonStateLanguageParser.parse))


def _reading_once(parse: Callable[[str], tuple[Any, Any]]) -> Callable[[str], tuple[Any, Any]]:
    """Builds a program for each execution from one syntax tree."""
    tree_of = lru_cache(maxsize=None)(lambda definition: parse(definition)[1])

    def call(definition: str) -> tuple[Any, Any]:
        tree = tree_of(definition)
        return Preprocessor().visit(tree), tree

    return call
