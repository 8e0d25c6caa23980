"""What a run has found, as a table to send back and as JSON."""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from sandbox.findings import CHECKS, Finding, Verdict
from sandbox.masking import Mask
from sandbox.unchecked import UNCHECKED


@dataclass(frozen=True)
class Row:
    """One belief and its finding."""

    id: str
    belief: str
    finding: Finding


@dataclass(frozen=True)
class Report:
    """All beliefs, including those that no sandbox can confirm."""

    run: str
    region: str
    against: str
    rows: list[Row]

    @property
    def is_contradicted(self) -> bool:
        """Whether any belief was found to be wrong."""
        return any(row.finding.verdict is Verdict.CONTRADICTED for row in self.rows)

    @property
    def is_broken(self) -> bool:
        """Whether any check broke off."""
        return any(row.finding.verdict is Verdict.BROKEN for row in self.rows)

    def summary(self) -> str:
        """`12 hold, 1 does not hold, 3 skipped`."""
        counts = Counter(row.finding.verdict for row in self.rows)
        plurals = {Verdict.HOLDS: "hold", Verdict.CONTRADICTED: "do not hold"}
        return ", ".join(f"{counts[verdict]} {plurals.get(verdict, verdict.value)}" for verdict in Verdict if counts[verdict])

    def markdown(self, mask: Mask) -> str:
        """For pasting into an issue."""
        lines = [
            f"ami-share: what is believed about AWS, checked on {self.against}, {self.region},"
            f" {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC: {self.summary()}",
            "",
            "| id | verdict | what was seen | belief |",
            "| --- | --- | --- | --- |",
        ]
        for row in self.rows:
            cells = [f"`{row.id}`", row.finding.verdict.value, row.finding.seen, row.belief]
            lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
        return mask("\n".join(lines) + "\n")

    def json(self, mask: Mask) -> str:
        """For programs."""
        rows = [
            {"id": row.id, "belief": row.belief, "verdict": row.finding.verdict.value, "seen": row.finding.seen}
            for row in self.rows
        ]
        return mask(json.dumps({"run": self.run, "region": self.region, "against": self.against, "beliefs": rows}, indent=2) + "\n")


def of(run: str, region: str, against: str, findings: dict[str, Finding]) -> Report:
    """The report of a run. Checks that were not selected or not reached count as not checked."""
    missed = Finding(Verdict.NOT_CHECKED, "this run did not reach it")
    rows = [Row(check.id, check.belief, findings.get(check.id, missed)) for check in CHECKS]
    rows += [Row(one.id, one.belief, Finding(Verdict.SKIPPED, f"needs {one.needs}")) for one in UNCHECKED]
    return Report(run, region, against, rows)


def write(report: Report, mask: Mask, folder: Path) -> list[Path]:
    """Writes both forms and returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / f"{report.run}.md": report.markdown(mask), folder / f"{report.run}.json": report.json(mask)}
    for file, text in files.items():
        file.write_text(text)
    return list(files)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
