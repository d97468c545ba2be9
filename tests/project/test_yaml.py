from __future__ import annotations

from datetime import date
from pathlib import PurePosixPath

import pytest
from project.projects import lines

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.source import SourceFile
from sqlflow.core.text import MappedText
from sqlflow.project.yaml import Yaml, load, load_short


def read(text: str) -> tuple[Yaml | None, list[str]]:
    problems: list[Diagnostic] = []
    found = load(MappedText.of(SourceFile(PurePosixPath("sqlflow.yml"), text)), problems)
    return found, lines(problems)


def test_values_know_their_places() -> None:
    found, problems = read("a: é\r\nb:\r\n  - x: 'q'\r\n  - [1, 2.5]\r\n")
    assert problems == []
    assert found is not None
    assert found.value == {"a": "é", "b": [{"x": "q"}, [1, 2.5]]}
    span = found.span(("b", 0, "x"))
    assert (span.line, span.column, span.length, span.text) == (3, 8, 3, "  - x: 'q'")
    assert str(found.span(("b", 1, 1))) == "sqlflow.yml:4:9"
    assert (found.span(("b", 1)).column, found.span(("b", 1)).length) == (5, 8)
    assert str(found.key_span(("b", 0, "x"))) == "sqlflow.yml:3:5"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("007", "007"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("-3", -3),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("'1'", "1"),
        ("True", True),
        ("~", None),
        ("2020-01-31", date(2020, 1, 31)),
        ("!!str 5", "5"),
    ],
)
def test_words_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    found, problems = read(f"a: {text}")
    assert problems == []
    assert found is not None
    assert found.value == {"a": value}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "a: !!python/object/apply:os.system [echo]",
            "yaml: the tag `!!python/object/apply:os.system` is not allowed [1:4+31]",
        ),
        ("a: !secret x", "yaml: the tag `!secret` is not allowed [1:4+9]"),
        ("a: 1\nb: 2\na: 3\n", "yaml: the key `a` is given twice [3:1+1]"),
        ("a: 1\n---\nb: 2\n", "yaml: there is more than one YAML document [2:1+3]"),
        ("a: [1, 2\n", "yaml: not valid YAML: did not find expected ',' or ']' [2:1+1]"),
        (
            "a: b: c\n",
            "yaml: not valid YAML: mapping values are not allowed in this context [1:5+1]",
        ),
        ("a: &x [*x]", "yaml: there is no complete anchor `&x` before this [1:8+2]"),
        ("? [a]\n: 1", "yaml: a key must be plain text [1:3+1]"),
        (
            "a: 2020-13-45",
            "yaml: `2020-13-45` is not a date or time: month must be in 1..12 [1:4+10]",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, problem: str) -> None:
    found, problems = read(text)
    assert found is None
    assert len(problems) == 1
    assert problems[0].startswith(problem.rsplit("+", 1)[0])


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "{a: " * 10_000])
def test_deep_nesting_is_a_problem_and_no_crash(text: str) -> None:
    found, problems = read(text)
    assert found is None
    assert len(problems) == 1


def test_a_bomb_of_aliases_is_refused() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 9)]
    found, problems = read("\n".join(rows))
    assert found is None
    assert len(problems) == 1
    assert problems[0].startswith("yaml: there are more than")


def test_aliases_work() -> None:
    found, problems = read("a: &a [1, 2]\nb: *a")
    assert (found.value if found else None, problems) == ({"a": [1, 2], "b": [1, 2]}, [])


@pytest.mark.parametrize(
    "text",
    [
        *(
            "a",
            "a b",
            "3 days",
            "12",
            "007",
            "1.5",
            "true",
            "null",
            "no",
            "2020-01-31",
            "a.b",
            "1e5",
        ),
        *("[a]", "[a, b]", "[ a ,b ]", "[1, 2.5, x-y]", "[null, true]", "a-b", "a_1"),
    ],
)
def test_the_short_way_reads_as_the_long_way(text: str) -> None:
    source = MappedText.of(SourceFile(PurePosixPath("x"), text))
    short, long = load_short(source), load(source, [])
    assert short is not None
    assert long is not None
    assert short.value == long.value
    assert short.values == long.values


@pytest.mark.parametrize("text", ["a: b", "[a, [b]]", "'a'", "a # b", "- a", "[a,]", "*a", "!x", "a:"])
def test_the_short_way_leaves_the_rest(text: str) -> None:
    assert load_short(MappedText.of(SourceFile(PurePosixPath("x"), text))) is None
