"""Removes from a text what must not be shared: accounts, organizations, people's names, keys."""

import re

_ACCOUNT = re.compile(r"(?<![0-9A-Za-z])\d{12}(?![0-9A-Za-z])")
# In names and ids of the organization, also inside ARNs.
_ORGANIZATION = re.compile(r"\b(?:o-[a-z0-9]{10,32}|r-[0-9a-z]{4,32}|ou-[0-9a-z]{4,32}-[0-9a-z]{8,32})\b")
_SOMEBODY = re.compile(r"\b(assumed-role|federated-user|role|user)/(?!ami-share-check)[^\s\"',]+")
_SESSION = re.compile(r"\b(assumed-role/ami-share-check[\w-]*)/[^\s\"',]+")
_UNIQUE_ID = re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b")
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")


class Mask:
    """Masks a text. Accounts that are known keep a name, so that the reader can tell them apart."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def know(self, account_id: str, name: str) -> None:
        """From now on this account is called so."""
        self._names[account_id] = name

    def __call__(self, text: str) -> str:
        text = _ADDRESS.sub("<address>", text)
        text = _SESSION.sub(r"\1/<session>", text)
        text = _SOMEBODY.sub(r"\1/<name>", text)
        text = _UNIQUE_ID.sub("<id>", text)
        text = _ORGANIZATION.sub("<organization>", text)
        return _ACCOUNT.sub(lambda found: self._names.get(found[0], "<account>"), text)
