"""Checks of image usage reports: how EC2 answers for an unknown one, and how long one takes."""

from contextlib import suppress

from sandbox.answers import ACCEPTED, answer, until
from sandbox.findings import Finding, NotChecked, check, contradicted, holds, holds_if
from sandbox.fixture import Fixture

# How long the workflow waits for a report.
REPORT_SECONDS = 300


def poll(fixture: Fixture) -> None:
    """Polls the requested report between two checks."""
    with suppress(Exception):  # The check itself will say what is wrong.
        fixture.usage_report.poll()


@check("usage-report-unknown", "For a usage report that it does not know, EC2 answers with a code that ends with `.NotFound`, or shows none.")
def unknown_usage_report(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImageUsageReports.html (names no codes)"""
    code = answer(fixture.ec2.describe_image_usage_reports, ReportIds=["amiur-00000000000000000"])
    return holds_if(code == ACCEPTED or code.endswith(".NotFound"), "no report, and no error" if code == ACCEPTED else code)


@check("usage-report-delay", "A usage report is available within five minutes.")
def usage_report_delay(fixture: Fixture) -> Finding:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/your-ec2-ami-usage.html (says not how long it takes)"""
    watch = fixture.usage_report
    until(watch.poll, fixture.within(REPORT_SECONDS + 1) - watch.age, pause=5)
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
    raise NotChecked(f"{seen}: it was polled too late")
