"""The lists of what is expected, one file per suite.

A row is `CONSUL LICTOR TEST`, and for a test that passes on Consul and not on ours `# reason`. The outcomes: `pass`,
`fail` (also: skipped by the suite itself), and `any` for a test whose outcome is not ours to decide (a time limit of
its own, a port of its own); `-` says that the test was not seen on that server.
"""

import os
from dataclasses import dataclass, field

from servers import Kind

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "expected")
OUTCOMES = ("pass", "fail", "any", "-")
NOTES = 20
COLUMN = {Kind.CONSUL: 0, Kind.LICTOR: 1}


@dataclass
class Report:
    """What a run has shown, beside what was expected."""

    passed: int = 0
    total: int = 0
    gaps: int = 0
    failed: bool = False
    lines: list = field(default_factory=list)

    def summary(self):
        return f"{self.passed} of {self.total} pass, {self.gaps} known gap(s)"

    def shortened(self):
        """Keeps the errors, and of the rest what fits on a screen."""
        notes = [line for line in self.lines if not line.startswith("FAILED")]
        if len(notes) > NOTES:
            kept = set(notes[:NOTES])
            self.lines = [line for line in self.lines if line.startswith("FAILED") or line in kept]
            self.lines.append(f"and {len(notes) - NOTES} more such notes")
        return self

    def error(self, line):
        self.failed = True
        self.lines.append(f"FAILED: {line}")


@dataclass
class Row:
    outcomes: list
    reason: str = ""

    @property
    def gap(self):
        return self.outcomes[0] == "pass" and self.outcomes[1] not in ("pass", "-")


class List:
    """The rows of one suite, by test."""

    def __init__(self, suite, rows):
        self.path = os.path.join(FOLDER, f"{suite}.txt")
        self.rows = rows

    @classmethod
    def read(cls, suite):
        this = cls(suite, {})
        if not os.path.exists(this.path):
            return this
        with open(this.path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                line = line.rstrip("\n")
                if line and not line.startswith("#"):
                    this.rows.update([cls.row(f"{this.path}:{number}", line)])
        return this

    @staticmethod
    def row(place, line):
        head, _, reason = line.partition("  # ")
        consul, lictor, test = head.split(" ", 2)
        if consul not in OUTCOMES or lictor not in OUTCOMES:
            raise SystemExit(f"{place}: an outcome is one of {' '.join(OUTCOMES)}")
        row = Row([consul, lictor], reason.strip())
        if row.gap and not row.reason:
            raise SystemExit(f"{place}: passes on Consul and not on ours: say why behind '  # '")
        return test.strip(), row

    def write(self):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write("# CONSUL LICTOR TEST  # why ours does not pass what Consul passes (see ../expected.py)\n")
            for test, row in sorted(self.rows.items()):
                reason = row.reason if row.gap else ""
                tail = f"  # {reason or 'not looked into yet'}" if row.gap else ""
                file.write(f"{row.outcomes[0]} {row.outcomes[1]} {test}{tail}\n")

    def update(self, kind, outcomes):
        column = COLUMN[kind]
        for test in set(self.rows) - set(outcomes):
            self.rows[test].outcomes[column] = "-"
        for test, outcome in outcomes.items():
            row = self.rows.setdefault(test, Row(["-", "-"]))
            if row.outcomes[column] != "any":
                row.outcomes[column] = outcome
        self.rows = {test: row for test, row in self.rows.items() if row.outcomes != ["-", "-"]}

    def passes(self, kind, test):
        """Whether the list says that this test passes on this server."""
        return test in self.rows and self.rows[test].outcomes[COLUMN[kind]] == "pass"

    def compare(self, kind, outcomes):
        column = COLUMN[kind]
        report = Report(passed=sum(o == "pass" for o in outcomes.values()), total=len(outcomes))
        report.gaps = sum(row.gap for row in self.rows.values())
        for test in sorted(set(self.rows) | set(outcomes)):
            wanted = self.rows[test].outcomes[column] if test in self.rows else "-"
            seen = outcomes.get(test, "-")
            if wanted == "pass" and seen != "pass":
                report.error(f"{test}: expected to pass" + ("" if seen == "fail" else ", did not run"))
            elif wanted == "fail" and seen == "pass":
                report.lines.append(f"passes now, take it into the list with --update: {test}")
            elif wanted == "-" and seen != "-":
                report.lines.append(f"not in the list: {test}: {seen}")
        if not outcomes:
            report.error("no test has run")
        return report.shortened()
