"""Saves what moto does afresh each time, at a cost that a test of a thousand accounts feels. No rule of AWS is here."""

from functools import lru_cache

import moto.core.responses
import moto.kms.models


def install() -> None:
    """Look up a service's operations once, and make no RSA key for a key that only ever encrypts symmetrically."""
    moto.core.responses.method_names_from_class = lru_cache(maxsize=None)(moto.core.responses.method_names_from_class)
    generate = moto.kms.models.generate_private_key
    moto.kms.models.generate_private_key = lambda spec: None if spec == "SYMMETRIC_DEFAULT" else generate(spec)
