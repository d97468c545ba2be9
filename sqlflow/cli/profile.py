"""`sqlflow show --profile`: what the values of a table are like, and checks that they would pass."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from sqlflow.build.selecting import called
from sqlflow.cli.reading import find_name, reading
from sqlflow.cli.render import render_table, to_json
from sqlflow.cli.show import relation_of
from sqlflow.core.amounts import counted
from sqlflow.core.diagnostics import one_problem
from sqlflow.core.engine import EngineError
from sqlflow.observe.text import display_width, visible
from sqlflow.profile.scan import ColumnProfile, Profile, profile
from sqlflow.profile.suggest import Suggestion, suggestions

_BARS = " ▁▂▃▄▅▆▇█"


def show_profile(
    name: str,
    project: Path | None,
    target: str | None,
    variables: Sequence[str],
    *,
    suggest: bool,
    wait: float,
    json: bool,
) -> int:
    """Print what the columns of a model, seed or source are like. The exit code."""
    with reading(project, target, variables, wait=wait, wanted=called(name)) as found:
        table = find_name(found.checked, name)
        schema, relation = relation_of(found, table)
        assert found.opened.engine is not None
        try:
            told = profile(found.opened.engine.session(), relation, schema)
        except EngineError as error:
            said = error.message.splitlines()[0]
            raise one_problem("statement-failed", f"`{table}` cannot be read: {said}") from error
        model = found.checked.compiled.models.get(table)
        checks = model.header.checks if model is not None else ()
    known = {(check.kind, column.lower()) for check in checks for column in check.columns if len(check.columns) == 1}
    proposed = list(suggestions(told, known)) if suggest else []
    if json:
        print(to_json(_json(str(table), told, proposed if suggest else None)))
        return 0
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print("\n".join(_lines(told, width)))
    print(f"{table}: {counted(told.rows, 'row')}, found in {counted(told.scans, 'scan')}", file=sys.stderr)
    if suggest:
        print("\n".join(["", *_suggested(proposed)]))
    return 0


def _lines(told: Profile, width: int | None) -> list[str]:
    rows = []
    for found in told.columns:
        quantiles = found.quantiles or ("", "", "")
        ends = (_short(found.least), *(_short(value) for value in quantiles), _short(found.greatest))
        rows.append(
            (
                found.column.name,
                found.column.type,
                f"{found.nulls:,}",
                f"{found.distinct:,}",
                *ends,
                bars(found.histogram),
            )
        )
    lines = [profile_table(rows, width)]
    lines += [f"{column.name} ({column.type}): its values cannot be told apart, so they are not counted" for column in told.others]  # fmt: skip
    often = [found for found in told.columns if found.top and found.top[0][1] > 1]
    if often:
        longest = max(len(found.column.name) for found in often)
        lines += ["", "most frequent values", *(f"  {visible(f.column.name):<{longest}}  {_tops(f)}" for f in often)]
    return lines


_HEAD = ("column", "type", "nulls", "distinct", "least", "25%", "50%", "75%", "greatest", "histogram")
# What a narrow terminal goes without, before names and values are cut.
_DISPENSABLE = ("25%", "75%", "50%")


def profile_table(rows: Sequence[Sequence[str]], width: int | None) -> str:
    """What columns are like, a line each. Where that is wider than `width`, quantiles are left out, and named below."""
    shown = list(range(len(_HEAD)))
    left_out: list[str] = []
    for name in _DISPENSABLE:
        if width is None or _widest(_chosen(rows, shown, None)) <= width:
            break
        shown.remove(_HEAD.index(name))
        left_out.append(name)
    table = _chosen(rows, shown, width)
    if not left_out:
        return table
    return f"{table}\n({counted(len(left_out), 'column')} not shown: {', '.join(sorted(left_out))})"


def _chosen(rows: Sequence[Sequence[str]], shown: Sequence[int], width: int | None) -> str:
    return render_table([_HEAD[i] for i in shown], [[row[i] for i in shown] for row in rows], width=width)


def _widest(table: str) -> int:
    return max(display_width(line) for line in table.splitlines())


def _short(value: str | None) -> str:
    text = visible(value or "")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


_LONGEST = 24


def _tops(found: ColumnProfile) -> str:
    parts = [f"{_short(value) or repr(value)} {100 * count / found.rows:.1f}%" for value, count in found.top]
    return ", ".join([*parts, *(["..."] if found.distinct > len(found.top) else [])])


def bars(counts: Sequence[int]) -> str:
    """A histogram as a line of bars; what is there at all can be seen."""
    most = max(counts, default=0)
    return "".join(_BARS[0 if not count else max(1, round(8 * count / most))] for count in counts)


def _suggested(proposed: Sequence[Suggestion]) -> list[str]:
    """Lines to paste: the checks of a column behind its name, with the evidence."""
    if not proposed:
        return ["no check is suggested that is not there already"]
    by_column: dict[str, list[Suggestion]] = {}
    for suggestion in proposed:
        by_column.setdefault(suggestion.column, []).append(suggestion)
    longest = max(map(len, by_column))
    lines = ["checks that hold today, to write behind the columns:"]
    for column, found in by_column.items():
        checks = " ".join(suggestion.check for suggestion in found)
        lines.append(f"  {visible(column):<{longest}}  -- {checks}")
        lines.append(f"  {'':<{longest}}     {'; '.join(suggestion.evidence for suggestion in found)}")
    return lines


def _json(table: str, told: Profile, proposed: Sequence[Suggestion] | None) -> dict[str, object]:
    answer: dict[str, object] = {
        "table": table,
        "rows": told.rows,
        "scans": told.scans,
        "columns": [
            {
                "name": found.column.name,
                "type": found.column.type,
                "nulls": found.nulls,
                "distinct": found.distinct,
                "least": found.least,
                "greatest": found.greatest,
                "quantiles": list(found.quantiles),
                "top": [{"value": value, "rows": count} for value, count in found.top],
                "histogram": list(found.histogram),
            }
            for found in told.columns
        ],
        "not_counted": [column.name for column in told.others],
    }
    if proposed is not None:
        answer["suggestions"] = [{"column": s.column, "check": s.check, "evidence": s.evidence} for s in proposed]
    return answer
