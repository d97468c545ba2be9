"""Reports of checks: for people, machines, CI and pull requests; with a score for each table and category."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from xml.sax.saxutils import escape, quoteattr

from msgspec import Struct

from sqlflow.cli.render import render_table, to_json
from sqlflow.core.amounts import counted
from sqlflow.core.compiled import Compiled
from sqlflow.core.records import CheckResult, CheckStatus
from sqlflow.observe.text import visible, visible_lines
from sqlflow.quality.checks import checks_of, checks_of_inputs
from sqlflow.quality.forms import Category
from sqlflow.quality.kinds import CHECKS


class ReportForm(StrEnum):
    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    MARKDOWN = "markdown"


class Entry(Struct, frozen=True):
    """A check of a table, or a query in tests/, and how it came out."""

    table: str
    category: Category
    blocking: bool
    result: CheckResult


def categories(compiled: Compiled) -> dict[tuple[str, str], Category]:
    """What each check is about, by its table and its name; all others are rules of the business."""
    specs = [(str(name), spec) for name, found in checks_of_inputs(compiled.project).items() for spec in found]
    specs += [(str(m.name), spec) for m in compiled.models.values() for spec in checks_of(m.header)]
    return {(table, spec.name): CHECKS[spec.kind].category for table, spec in specs if spec.kind in CHECKS}


def report(form: ReportForm, entries: Sequence[Entry], broken: Sequence[str]) -> str:
    """The report in a form. `broken`: checks that could not be carried out, in words."""
    match form:
        case ReportForm.TEXT:
            return "\n".join(_text(entries))
        case ReportForm.JSON:
            return to_json(_json(entries, broken))
        case ReportForm.JUNIT:
            return "\n".join(_junit(entries, broken))
        case ReportForm.MARKDOWN:
            return "\n".join(_markdown(entries, broken))


_BLOCKING, _WARNING = 3, 1


def score(entries: Iterable[Entry]) -> float:
    """The share of checks without failing rows, of which one that blocks weighs as much as three that warn; 1 for none."""
    weights = [(_BLOCKING if e.blocking else _WARNING, e.result.status is CheckStatus.PASSED) for e in entries]
    total = sum(weight for weight, _ in weights)
    return sum(weight for weight, passed in weights if passed) / total if total else 1.0


def _by_table(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.table, []).append(entry)
    return found


def _scores(entries: Sequence[Entry]) -> tuple[list[str], list[list[str]]]:
    """The heads and rows of a table of scores: the worst first."""
    there = [category for category in Category if any(entry.category is category for entry in entries)]
    scored = sorted(_by_table(entries).items(), key=lambda item: (score(item[1]), item[0]))
    rows = []
    for table, found in scored:
        of_each = [[entry for entry in found if entry.category is category] for category in there]
        rows.append([table, f"{score(found):.2f}", *(f"{score(some):.2f}" if some else "" for some in of_each)])
    return ["table", "score", *(str(category) for category in there)], rows


def _text(entries: Sequence[Entry]) -> Iterator[str]:
    for entry in entries:
        if entry.result.status is not CheckStatus.PASSED:
            line = f"{entry.result.status:<7} {entry.table}  {entry.result.check}  {_found(entry.result)}"
            yield visible(line.rstrip())
            yield from (f"        {line}" for line in visible_lines(entry.result.description))
    heads, rows = _scores(entries)
    yield render_table(heads, rows, width=None)


def _found(result: CheckResult) -> str:
    such_as = ", ".join(result.sample[:_MOST_SAMPLES])
    if result.total:
        return f"found {such_as}" if such_as else ""
    return counted(result.failing, "row") + (f", such as {such_as}" if such_as else "")


_MOST_SAMPLES = 3


def _json(entries: Sequence[Entry], broken: Sequence[str]) -> dict[str, object]:
    return {
        "score": round(score(entries), 4),
        "tables": [
            {
                "table": table,
                "score": round(score(found), 4),
                "categories": {
                    str(c): round(score(some), 4) for c in Category if (some := [e for e in found if e.category is c])
                },
                "checks": [
                    {
                        "check": entry.result.check,
                        "category": str(entry.category),
                        "severity": "error" if entry.blocking else "warning",
                        "status": str(entry.result.status),
                        "failing": entry.result.failing,
                        "sample": list(entry.result.sample),
                        "description": entry.result.description,
                    }
                    for entry in found
                ],
            }
            for table, found in _by_table(entries).items()
        ],
        "errors": list(broken),
    }


_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _xml(text: str) -> str:
    return escape(_NOT_IN_XML.sub("\ufffd", text))


def _attribute(text: str) -> str:
    return quoteattr(_NOT_IN_XML.sub("\ufffd", text))


def _junit(entries: Sequence[Entry], broken: Sequence[str]) -> Iterator[str]:
    failed = sum(entry.result.status is CheckStatus.FAILED for entry in entries)
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<testsuites name="sqlflow" tests="{len(entries) + len(broken)}" failures="{failed}" errors="{len(broken)}">'
    for table, found in _by_table(entries).items():
        of_table = sum(entry.result.status is CheckStatus.FAILED for entry in found)
        yield f'  <testsuite name={_attribute(table)} tests="{len(found)}" failures="{of_table}" errors="0">'
        for entry in found:
            case = f"<testcase classname={_attribute(table)} name={_attribute(entry.result.check)}"
            told = [entry.result.description] if entry.result.description else []
            samples = _xml("\n".join([*told, *entry.result.sample]))
            match entry.result.status:
                case CheckStatus.FAILED:
                    yield f"    {case}>"
                    yield f"      <failure message={_attribute(_found(entry.result))}>{samples}</failure>"
                    yield "    </testcase>"
                case CheckStatus.WARNED:  # JUnit has no warnings
                    yield f"    {case}>"
                    yield f"      <system-out>{_xml(': '.join(['warning', *told, _found(entry.result)]))}</system-out>"
                    yield "    </testcase>"
                case _:
                    yield f"    {case}/>"
        yield "  </testsuite>"
    if broken:
        yield f'  <testsuite name="checks that do not work" tests="{len(broken)}" failures="0" errors="{len(broken)}">'
        for text in broken:
            name, _, why = text.partition(": ")
            yield f"    <testcase classname={_attribute(name)} name={_attribute(name)}>"
            yield f"      <error message={_attribute(why)}/>"
            yield "    </testcase>"
        yield "  </testsuite>"
    yield "</testsuites>"


def _markdown(entries: Sequence[Entry], broken: Sequence[str]) -> Iterator[str]:
    count = {status: [e for e in entries if e.result.status is status] for status in CheckStatus}
    failed, warned = count[CheckStatus.FAILED], count[CheckStatus.WARNED]
    yield f"### {counted(len(entries) + len(broken), 'check')}: {len(failed) + len(broken)} failed, {len(warned)} warned"
    if failed or warned:
        yield ""
        yield from _rows(
            ["", "table", "check", "found"],
            [
                [
                    str(entry.result.status),
                    f"`{entry.table}`",
                    f"`{entry.result.check}`" + (f": {entry.result.description}" if entry.result.description else ""),
                    _found(entry.result),
                ]
                for entry in (*failed, *warned)
            ],
        )
    for text in broken:
        yield f"\n- does not work: {_cell(text)}"
    yield ""
    yield from _rows(*_scores(entries))


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(text: str) -> str:
    return visible(text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ").replace("\r", " "))
