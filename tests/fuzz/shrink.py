"""Make a failing case smaller: fewer steps, changes, models, rows and clauses, as long as it fails in the same way."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import sqlglot
from fuzz.cases import Case, Change, Model, Step
from fuzz.worlds import Failure, Invalid, Tally, run
from sqlglot import exp


def shrink(case: Case, failure: Failure, seconds: float = 60.0) -> tuple[Case, Failure]:
    """The smallest case found within that time, and how it fails."""
    until = time.monotonic() + seconds

    def fails(candidate: Case) -> Failure | None:
        try:
            found = run(candidate, Tally())
        except Invalid:
            return None
        return found if found is not None and found.kind == failure.kind and _about(found) == _about(failure) else None

    case = replace(case, steps=case.steps[: failure.step])
    best, how = case, failure
    progress = True
    while progress and time.monotonic() < until:
        progress = False
        for smaller in _WAYS:
            tried: set[str] = set()
            again = True
            while again and time.monotonic() < until:
                again = False
                for candidate in smaller(best):
                    if time.monotonic() > until:
                        break
                    text = candidate.dumps()
                    if text in tried:
                        continue
                    tried.add(text)
                    found = fails(candidate)
                    if found is not None:
                        best = replace(candidate, steps=candidate.steps[: found.step])
                        how, progress, again = found, True, True
                        break
    return best, how


def _about(failure: Failure) -> str:
    """What an error is about, without the names and numbers in it."""
    if failure.kind in ("rows", "columns", "plan"):
        return ""
    found = re.findall(r"error\[[\w-]+\][^\n]*|\w*(?:Error|Exception)\b[^\n]*", failure.told)
    return re.sub(r"[\d`'\"].*", "", found[0]) if found else ""


def _without_steps(case: Case) -> Iterator[Case]:
    for number in range(len(case.steps)):
        merged = case.steps[number + 1 : number + 2]
        rest = case.steps[number + 2 :]
        if merged:  # its changes happen before the next build
            joined = replace(merged[0], changes=(*case.steps[number].changes, *merged[0].changes))
            yield replace(case, steps=(*case.steps[:number], joined, *rest))
        yield replace(case, steps=case.steps[:number] + case.steps[number + 1 :])


def _plain_builds(case: Case) -> Iterator[Case]:
    for number, step in enumerate(case.steps):
        if step.build != "all":
            yield replace(
                case, steps=(*case.steps[:number], replace(step, build="all", names=()), *case.steps[number + 1 :])
            )


def _without_changes(case: Case) -> Iterator[Case]:
    for number, step in enumerate(case.steps):
        for place in range(len(step.changes)):
            fewer = replace(step, changes=step.changes[:place] + step.changes[place + 1 :])
            yield replace(case, steps=(*case.steps[:number], fewer, *case.steps[number + 1 :]))


def _without_models(case: Case) -> Iterator[Case]:
    for model in reversed(case.models):
        yield _drop(case, model.name)


def _drop(case: Case, name: str) -> Case:
    models = tuple(m for m in case.models if m.name != name)
    steps = tuple(
        Step(
            tuple(c for c in s.changes if not ((c.model is not None and c.model.name == name) or c.name == name)),
            s.build,
            tuple(n for n in s.names if n != name),
        )
        for s in case.steps
    )
    steps = tuple(
        replace(s, build="all") if s.build in ("some", "refresh", "fail") and not s.names else s for s in steps
    )
    return replace(case, models=models, steps=steps)


def _without_setup(case: Case) -> Iterator[Case]:
    """A source that nothing reads, or its first rows."""
    for place in range(len(case.setup)):
        yield replace(case, setup=case.setup[:place] + case.setup[place + 1 :])
    for name in case.inputs:
        yield replace(
            case,
            inputs={n: r for n, r in case.inputs.items() if n != name},
            files={
                p: "\n".join(line for line in t.split("\n") if not line.startswith(f"{name}:"))
                for p, t in case.files.items()
            },
        )


_ROW = re.compile(r"\((?:[^()']|'[^']*')*\)")


def _without_rows(case: Case) -> Iterator[Case]:
    for change, put in _changes(case):
        head, word, tail = change.text.partition("VALUES ")
        if not word:
            continue
        listed, closing = (
            (tail, "")
            if change.what == "sql"
            else (tail.rpartition(") AS t")[0], ") AS t" + tail.rpartition(") AS t")[2])
        )
        rows = _ROW.findall(listed)
        if len(rows) > 2:
            for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
                yield put(replace(change, text=f"{head}VALUES {', '.join(half)}{closing}"))
        if len(rows) > 1:
            for n in range(len(rows)):
                yield put(replace(change, text=f"{head}VALUES {', '.join(rows[:n] + rows[n + 1 :])}{closing}"))


def _changes(case: Case) -> Iterator[tuple[Change, Callable[[Change], Case]]]:
    for place, change in enumerate(case.setup):

        def put_first(new: Change, place: int = place) -> Case:
            return replace(case, setup=(*case.setup[:place], new, *case.setup[place + 1 :]))

        yield change, put_first
    for number, step in enumerate(case.steps):
        for place, change in enumerate(step.changes):

            def put(new: Change, number: int = number, place: int = place, step: Step = step) -> Case:
                changed = replace(step, changes=(*step.changes[:place], new, *step.changes[place + 1 :]))
                return replace(case, steps=(*case.steps[:number], changed, *case.steps[number + 1 :]))

            yield change, put


def _shorter_queries(case: Case) -> Iterator[Case]:
    """Clauses, columns, joins and CTEs left out, one at a time."""
    for place, model in enumerate(case.models):
        for sql in _shorter(model.sql):
            yield replace(case, models=(*case.models[:place], replace(model, sql=sql), *case.models[place + 1 :]))
    for change, put in _changes(case):
        if change.model is not None:
            for sql in _shorter(change.model.sql):
                yield put(replace(change, model=replace(change.model, sql=sql)))


def _shorter(sql: str) -> Iterator[str]:
    try:
        tree = sqlglot.parse_one(sql, dialect="duckdb")
    except sqlglot.ParseError:
        return
    seen = {sql}
    for number, _ in enumerate(list(tree.walk())):
        for change in _CUTS:
            copy = tree.copy()
            node = list(copy.walk())[number]
            result = change(copy, node)
            if result is None:
                continue
            text = result.sql(dialect="duckdb")
            if text not in seen and len(text) < len(sql) + 5:
                seen.add(text)
                yield text


def _cut_clause(word: str) -> Callable[[exp.Expr, exp.Expr], exp.Expr | None]:
    def cut(tree: exp.Expr, node: exp.Expr) -> exp.Expr | None:
        if not isinstance(node, exp.Select) or not node.args.get(word):
            return None
        node.set(word, None)
        return tree

    return cut


def _cut_from_list(tree: exp.Expr, node: exp.Expr) -> exp.Expr | None:
    parent = node.parent
    if parent is None or not isinstance(node.arg_key, str):
        return None
    siblings = parent.args.get(node.arg_key)
    if not isinstance(siblings, list) or len(siblings) < (1 if node.arg_key == "joins" else 2):
        return None
    node.pop()
    return tree


def _lift(tree: exp.Expr, node: exp.Expr) -> exp.Expr | None:
    """A binary or a function becomes its first operand; a set operation becomes its branch; a subquery its source."""
    parts = [child for child in node.args.values() if isinstance(child, exp.Expr)]
    if not isinstance(node, exp.Binary | exp.Func | exp.Not | exp.SetOperation | exp.Paren | exp.Filter) or not parts:
        return None
    first = parts[0]
    if node is tree:
        return first
    node.replace(first)
    return tree


def _lift_last(tree: exp.Expr, node: exp.Expr) -> exp.Expr | None:
    parts = [child for child in node.args.values() if isinstance(child, exp.Expr)]
    if not isinstance(node, exp.Binary | exp.SetOperation) or len(parts) < 2:
        return None
    if node is tree:
        return parts[1]
    node.replace(parts[1])
    return tree


_CUTS: tuple[Callable[[exp.Expr, exp.Expr], exp.Expr | None], ...] = (
    *(_cut_clause(word) for word in ("where", "having", "qualify", "distinct", "with", "with_", "order", "limit")),
    _cut_from_list,
    _lift,
    _lift_last,
)


def _plainer_headers(case: Case) -> Iterator[Case]:
    for place, model in enumerate(case.models):
        if model.mode == "auto" and model.header not in ((), ("strategy: delta",)):
            plain = Model(model.name, (), model.sql, "auto", model.near)
            yield replace(case, models=(*case.models[:place], plain, *case.models[place + 1 :]))


_WAYS: tuple[Callable[[Case], Iterator[Case]], ...] = (
    _without_steps,
    _without_models,
    _without_changes,
    _plain_builds,
    _without_setup,
    _without_rows,
    _shorter_queries,
    _plainer_headers,
    _without_models,
    _without_setup,
)
