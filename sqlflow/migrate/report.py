"""What became of a dbt project: for people as Markdown, for programs as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from msgspec import Struct, structs

from sqlflow.core.amounts import counted
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.migrate.dbt import Left, Place
from sqlflow.migrate.models import Converted, Outcome, Remark


class Entry(Struct, frozen=True):
    """What became of a node. `file`: where it stands in the new project, empty for none."""

    name: str
    resource: str
    dbt_file: str
    file: str
    outcome: Outcome
    remarks: tuple[Remark, ...]


class Report(Struct, frozen=True):
    project: str
    adapter: str
    entries: tuple[Entry, ...]
    left: tuple[Left, ...]

    @property
    def models(self) -> tuple[Entry, ...]:
        return tuple(one for one in self.entries if one.resource in ("model", "snapshot"))

    def counts(self) -> Mapping[Outcome, int]:
        found = Counter(one.outcome for one in self.models)
        return {outcome: found.get(outcome, 0) for outcome in Outcome}


def entry_of(converted: Converted, file: str, more: Sequence[Remark] = ()) -> Entry:
    node = converted.named.node
    remarks = (*converted.remarks, *more)
    ranks = list(Outcome)
    outcome = max((one.outcome for one in remarks), key=ranks.index, default=Outcome.EXACT)
    return Entry(str(converted.table), node.resource, str(node.file.path), file, outcome, remarks)


def with_problems(report: Report, problems: Sequence[Diagnostic]) -> Report:
    """With what compiling the new project found: at the model in whose file it stands, or beside them."""
    by_file: dict[str, list[Remark]] = {}
    left: list[Left] = []
    files = {one.file for one in report.entries if one.file}
    for problem in problems:
        path = str(problem.span.path) if problem.span is not None else "sqlflow.yml"
        place = Place(PurePosixPath(path), problem.span.line if problem.span is not None else 0)
        reason = f"compiling says: {problem.message} ({problem.code})"
        if path in files and path.startswith("models/"):
            by_file.setdefault(path, []).append(Remark(Outcome.BY_HAND, reason, place, problem.hint or ""))
        else:
            left.append(Left(f"new file {path}", place, reason, problem.hint or ""))
    ranks = list(Outcome)
    entries = tuple(
        structs.replace(
            one, remarks=(*one.remarks, *by_file[one.file]), outcome=max(one.outcome, Outcome.BY_HAND, key=ranks.index)
        )
        if one.file in by_file
        else one
        for one in report.entries
    )
    return structs.replace(report, entries=entries, left=(*report.left, *left))


def with_files(
    report: Report, kept: Sequence[PurePosixPath], gone: Sequence[PurePosixPath], stale: Sequence[PurePosixPath]
) -> Report:
    """With the files that an earlier migration wrote and that are not as it would write them now."""
    told = (
        (
            kept,
            "somebody edited it, so it stays as it is; the dbt project would give another text",
            "migrate into another folder with `--out`, and compare",
        ),
        (
            stale,
            "the dbt project no longer has it, but somebody edited it, so it stays",
            "delete it, if it is not needed",
        ),
        (gone, "the dbt project no longer has it, so it was removed", ""),
    )
    left = [Left(f"new file {path}", Place(path), reason, hint) for paths, reason, hint in told for path in paths]
    return structs.replace(report, left=(*report.left, *left))


_TITLES = {
    Outcome.EXACT: "Exact",
    Outcome.NOTED: "Converted, with a note",
    Outcome.BY_HAND: "Needs a hand",
    Outcome.UNSUPPORTED: "Not supported",
}


def totals(report: Report) -> str:
    """One line: how many models came over how."""
    counts = report.counts()
    words = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome)
    return f"{counted(len(report.models), 'model')}: {words}"


def markdown(report: Report) -> str:
    lines = [
        f"# Migration of {report.project}",
        "",
        f"From dbt ({report.adapter}). {totals(report)}.",
        "",
    ]
    for outcome in reversed(Outcome):
        found = [one for one in report.entries if one.outcome is outcome]
        if not found:
            continue
        lines += [f"## {_TITLES[outcome]}", ""]
        for entry in found:
            where = f" -> `{entry.file}`" if entry.file else ""
            lines.append(f"- `{entry.name}` (`{entry.dbt_file}`{where})")
            for remark in entry.remarks:
                hint = f" *{remark.hint}.*" if remark.hint else ""
                lines.append(f"  - `{remark.place}`: {_one_line(remark.reason)}.{hint}")
        lines.append("")
    if report.left:
        lines += ["## Beside the models", ""]
        for left in report.left:
            hint = f" *{left.hint}.*" if left.hint else ""
            lines.append(f"- {left.what} (`{left.place}`): {_one_line(left.reason)}.{hint}")
        lines.append("")
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


def as_json(report: Report) -> dict[str, object]:
    return {
        "format": 1,
        "project": report.project,
        "adapter": report.adapter,
        "totals": {str(outcome): count for outcome, count in report.counts().items()},
        "nodes": [
            {
                "name": one.name, "resource": one.resource, "dbt_file": one.dbt_file, "file": one.file or None, "outcome": str(one.outcome),
                "remarks": [
                    {"outcome": str(r.outcome), "file": str(r.place.path), "line": r.place.line, "reason": r.reason, "suggestion": r.hint or None}
                    for r in one.remarks
                ],
            }
            for one in report.entries
        ],
        "left": [
            {"what": one.what, "file": str(one.place.path), "line": one.place.line, "reason": one.reason, "suggestion": one.hint or None}
            for one in report.left
        ],
    }  # fmt: skip
