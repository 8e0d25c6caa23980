"""Watches a usage report, to measure when it became available."""

import time
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from sandbox.answers import code_of


@dataclass
class UsageWatch:
    """One report that was just requested. Its moments are in seconds since then."""

    ec2: Any
    report_id: str
    pending_at: float = 0.0
    settled_at: float | None = None
    report: dict[str, Any] = field(default_factory=dict)
    _requested: float = field(default_factory=time.monotonic)

    @property
    def age(self) -> float:
        """Seconds since the request."""
        return time.monotonic() - self._requested

    def poll(self) -> bool:
        """Whether it is no longer pending."""
        if self.settled_at is None:
            began = self.age
            self.report = self._found()
            if self.report.get("State", "pending") == "pending":
                self.pending_at = began
            else:
                self.settled_at = self.age
        return self.settled_at is not None

    def _found(self) -> dict[str, Any]:
        """Nothing, while EC2 does not know yet the report that it has just made."""
        try:
            found = self.ec2.describe_image_usage_reports(ReportIds=[self.report_id])["ImageUsageReports"]
        except ClientError as error:
            if not code_of(error).endswith(".NotFound"):
                raise
            return {}
        return dict(found[0]) if found else {}
