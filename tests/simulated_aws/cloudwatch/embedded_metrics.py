"""Makes metrics from the documents in embedded metric format that functions write to their standard output.

A read of metrics includes everything in the functions' logs so far. An invalid document makes no metric, as in AWS; the log
of this server names it.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import logging
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend

LOG = logging.getLogger(__name__)

_MOST_METRICS = 100
_MOST_VALUES = 100
_MOST_DIMENSIONS = 30


class InvalidDocument(Exception):
    """The document does not conform to the specification."""


class _Logs:
    """The functions' log files, each read once."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._lock = threading.Lock()

    def documents(self) -> Iterator[dict[str, Any]]:
        """The documents written since the last call."""
        with self._lock:
            for file in sorted(self._folder.glob("*.log")):
                for line in self._new_lines(file):
                    document = _object(line) if b'"_aws"' in line else None
                    if document is not None:
                        yield document

    def _new_lines(self, file: Path) -> list[bytes]:
        """Whole lines only: an incomplete line is read next time."""
        with open(file, "rb") as log:
            log.seek(self._read.get(file, 0))
            text, newline, _ = log.read().rpartition(b"\n")
        self._read[file] = self._read.get(file, 0) + len(text) + len(newline)
        return text.splitlines()


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) and "_aws" in document else None


def metrics(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each metric of a document with its namespace, in the form of PutMetricData."""
    try:
        moment = datetime.fromtimestamp(document["_aws"]["Timestamp"] / 1000, timezone.utc).replace(tzinfo=None)
        for directive in document["_aws"]["CloudWatchMetrics"]:
            definitions, sets = directive["Metrics"], directive["Dimensions"]
            if len(definitions) > _MOST_METRICS or not sets or any(len(names) > _MOST_DIMENSIONS for names in sets):
                raise InvalidDocument("too many metrics or dimensions, or no set of dimensions")
            for names in sets:
                dimensions = [{"Name": name, "Value": _text(document[name])} for name in names]
                for definition in definitions:
                    yield directive["Namespace"], {
                        "MetricName": definition["Name"], "Unit": definition.get("Unit", "None"), "Timestamp": moment,
                        "Dimensions": dimensions, "Values": _values(document[definition["Name"]]),
                    }  # fmt: skip
    except (KeyError, TypeError) as error:
        raise InvalidDocument(f"{type(error).__name__} {error}") from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidDocument("a dimension is no text")
    return value


def _values(value: Any) -> list[float]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in values):
        raise InvalidDocument("a metric is no number")
    if len(values) > _MOST_VALUES:
        raise InvalidDocument("a metric has too many values")
    return values


def install(logs: Path | None, account_id: str, region: str) -> None:
    """Adds the metrics of the functions of the stack in this account and Region."""
    if logs is None:
        return
    written, all_metrics = _Logs(logs), CloudWatchBackend.get_all_metrics

    def get_all_metrics(self: CloudWatchBackend) -> Any:
        if (self.account_id, self.region_name) == (account_id, region):
            for document in written.documents():
                try:
                    for namespace, metric in list(metrics(document)):
                        self.put_metric_data(namespace, [metric])
                except InvalidDocument as error:
                    LOG.warning("no metrics of an invalid document: %s in %s", error, document)
        return all_metrics(self)

    CloudWatchBackend.get_all_metrics = get_all_metrics
