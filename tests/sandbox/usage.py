"""Checks of image usage reports: what EC2 says of one that it does not know, and how long one takes."""

from contextlib import suppress

from sandbox.answers import TAKEN, answer, until
from sandbox.findings import Finding, NotChecked, check, contradicted, holds, holds_if
from sandbox.fixture import Fixture

# How long the workflow asks for a report.
REPORT_SECONDS = 300


def glance(fixture: Fixture) -> None:
    """Reads the requested report between two checks."""
    with suppress(Exception):  # The check itself will say what is wrong.
        fixture.usage_report.is_available()


@check("usage-report-unknown", "Of a usage report that it does not know, EC2 says so with a code that ends with `.NotFound`, or shows none.")
def unknown_usage_report(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImageUsageReports.html (names no codes)"""
    code = answer(fixture.ec2.describe_image_usage_reports, ReportIds=["amiur-00000000000000000"])
    return holds_if(code == TAKEN or code.endswith(".NotFound"), "no report, and no error" if code == TAKEN else code)


@check("usage-report-delay", "A usage report is available within five minutes.")
def usage_report_delay(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/your-ec2-ami-usage.html (says not how long it takes)"""
    watch = fixture.usage_report
    until(watch.is_available, fixture.within(REPORT_SECONDS + 1) - watch.age, pause=5)
    if watch.settled_at is None:
        seen = f"still pending after {watch.pending_at:.0f} s"
        if watch.pending_at < REPORT_SECONDS:
            raise NotChecked(seen)
        return contradicted(seen)
    seen = f"{watch.report['State']} after {watch.pending_at:.0f} to {watch.settled_at:.0f} s"
    if watch.report["State"] != "available":
        return contradicted(f"{seen} {watch.report.get('StateReason', '')}".strip())
    if watch.settled_at <= REPORT_SECONDS:
        return holds(seen)
    if watch.pending_at >= REPORT_SECONDS:
        return contradicted(seen)
    raise NotChecked(f"{seen}: it was read too late")
