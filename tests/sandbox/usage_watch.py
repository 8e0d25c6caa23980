"""Watches a usage report to find when it became available."""

import time
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from sandbox.answers import code_of


@dataclass
class UsageWatch:
    """One report that was just requested. Its times are in seconds since then."""

    ec2: Any
    report_id: str
    pending_at: float = 0.0
    settled_at: float | None = None
    report: dict[str, Any] = field(default_factory=dict)
    _requested: float = field(default_factory=time.monotonic)

    @property
    def age(self) -> float:
        """The seconds since its request."""
        return time.monotonic() - self._requested

    def is_available(self) -> bool:
        """Whether it is pending no more."""
        if self.settled_at is None:
            began = self.age
            self.report = self._found()
            if self.report.get("State", "pending") == "pending":
                self.pending_at = began
            else:
                self.settled_at = self.age
        return self.settled_at is not None

    def _found(self) -> dict[str, Any]:
        """Nothing, where EC2 does not know yet what it has just made."""
        try:
            found = self.ec2.describe_image_usage_reports(ReportIds=[self.report_id])["ImageUsageReports"]
        except ClientError as error:
            if not code_of(error).endswith(".NotFound"):
                raise
            return {}
        return dict(found[0]) if found else {}
