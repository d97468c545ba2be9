"""Comments mean the same wherever a formatter puts them, and no `@word` is passed over, whatever stands around it."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from project.projects import config, model, read, write

from sqlflow.core.model import Header, Model
from sqlflow.project.read import read_project
from sqlflow.project.tokens import Lexed, lex

TEMPLATE = Path(__file__).parents[2] / "project_template"
MODELS = sorted(TEMPLATE.glob("models/**/*.sql"))
SEEDS = range(150)


def facts(header: Header) -> dict[str, Any]:
    """What a header says, but for how it is broken into lines."""
    return {
        "checks": sorted((c.kind, _flat(repr(c.arguments)), _flat(c.where), c.severity) for c in header.checks),
        "columns": {
            name.lower(): (_flat(note.description), note.tags)
            for name, note in header.columns.items()
            if note.description or note.tags
        },
        "description": _flat(header.description),
        "rest": (header.mode, header.key, header.time, header.grain, header.tags, header.owner, header.before),
    }


def _flat(text: str | None) -> str:
    return " ".join((text or "").split()).lower()


# ---------------------------------------------------------------- generated models


COLUMNS = ["id", "name", "total", '"net sales"', "kind"]
CHECKS = ["@not_null", "@unique", "@in(1, 'b c', on)", "@references(seeds.airlines.carrier)"]
TEXTS = ["What it is", "IATA code, e.g. `LH`", "the day's first", "in EUR; 100 % of it", "naïve – ünïcode", "a@b.c"]
EXPRESSIONS = [
    "{c}",
    "t.{c}",
    "a + b AS {c}",
    "CASE WHEN a THEN b ELSE 'x -- y' END AS {c}",
    "sum(a) OVER (ORDER BY b) AS {c}",
]
HEADERS = [
    "-- @checks:\n--   - unique: [id]\n--   - row_count: {min: 1}\n",
    "-- @key: [id, total]\n-- @tags: [a, b]\n",
    "-- @columns:\n--   id: The identity\n-- @owner: me\n",
    "-- @checks:\n--   - expression: \"id > 1 AND\n--       id < 100\"\n--   - unique:\n--       columns: [id]\n--       severity: warn\n",
]  # fmt: skip


class _Comment:
    """What is said of a column: checks, tags and text, in the order in which they stand."""

    def __init__(self, rng: random.Random) -> None:
        words = rng.sample(CHECKS, rng.choice([0, 1, 1, 2])) + ["@core"] * rng.choice([0, 0, 1])
        self.text = " ".join([*words, *rng.sample(TEXTS, rng.choice([0, 1]))])


def generated(rng: random.Random) -> Iterator[str]:
    """One model, written in ever other ways."""
    columns = rng.sample(COLUMNS, rng.randint(1, len(COLUMNS)))
    if "id" not in columns:
        columns.append("id")
    expressions = [rng.choice(EXPRESSIONS).format(c=column) for column in columns]
    comments = [_Comment(rng).text for _ in columns]
    header = "".join(rng.sample(HEADERS, 1))
    passes = rng.choice(["{}", "WITH final AS (\n{}\n)\nSELECT * FROM final\n", "({})", "FROM (\n{}\n)\n"])
    passes = rng.choice([passes, "WITH f AS (\n{}\n), final AS (FROM f)\nSELECT f.* FROM final AS f\n"])
    union = rng.choice(["", "", f"UNION ALL\nSELECT {', '.join('NULL' for _ in columns)}\n"])
    while True:
        body = _select(rng, expressions, comments) + union
        yield (_flattened(header) if rng.random() < 0.5 else header) + passes.format(body)


def _select(rng: random.Random, expressions: list[str], comments: list[str]) -> str:
    indent = rng.choice(["", "    ", "\t", "        "])
    leading = rng.random() < 0.5
    lines: list[str] = []
    for number, (expression, comment) in enumerate(zip(expressions, comments, strict=True)):
        is_last = number == len(expressions) - 1
        front = f"{indent}, " if leading and number else indent
        comma = "" if leading or is_last else ","
        wrapped = _wrapped(rng, expression, indent)
        place = rng.choice(["behind", "behind block", "before the comma", "above", "above block", "several above"])
        if not comment:
            place = "behind nothing"
        match place:
            case "behind":
                lines.append(
                    f"{front}{wrapped}{comma}{rng.choice(['  ', ' ', chr(9)])}{rng.choice(['--', '-- '])}{comment}"
                )
            case "behind block":
                lines.append(f"{front}{wrapped}{comma} /* {comment} */")
            case "before the comma":
                lines.append(f"{front}{wrapped} /* {comment} */{comma}")
            case "above":
                lines += [f"{indent}-- {comment}", front + wrapped + comma]
            case "above block":
                lines += [f"{indent}/* {comment} */", front + wrapped + comma]
            case "several above":
                words = comment.split(" ")
                cut = rng.randint(1, len(words))
                lines += [f"{indent}-- {' '.join(part)}" for part in (words[:cut], words[cut:]) if part]
                lines.append(front + wrapped + comma)
            case _:
                lines.append(front + wrapped + comma)
    text = "\n".join(["SELECT", *lines, "FROM t"]) + "\n"
    return _in_another_case(text) if rng.random() < 0.5 else text


def _wrapped(rng: random.Random, expression: str, indent: str) -> str:
    if "'" in expression or rng.random() < 0.6:
        return expression
    return re.sub(r" (?=[+A]|ORDER|THEN)", lambda _: rng.choice([" ", f"\n{indent}    "]), expression)


def _flattened(header: str) -> str:
    """As sqlfmt writes it."""
    return re.sub(r"^-- +", "-- ", header, flags=re.MULTILINE)


def _in_another_case(text: str) -> str:
    """Keywords in lower case; comments, names and strings as they are."""
    lexed = lex(text, "duckdb")
    assert isinstance(lexed, Lexed)
    characters = list(text)
    for token in lexed.tokens:
        characters[token.start : token.end + 1] = (
            text[token.start : token.end + 1].lower()
            if text[token.start].isalpha()
            else text[token.start : token.end + 1]
        )
    return "".join(characters)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_model_says_the_same_wherever_its_comments_stand(tmp_path: Path, seed: int) -> None:
    ways = generated(random.Random(seed))
    first = next(ways)
    said = facts(model(tmp_path, first).header)
    for _ in range(6):
        other = next(ways)
        assert facts(model(tmp_path, other).header) == said, f"{first}\n-- and\n{other}"


# ---------------------------------------------------------------- the template


def moved(text: str, rng: random.Random) -> str:
    """A model of the template with its comments moved as formatters do."""
    lines: list[str] = []
    leading = rng.random() < 0.5
    indent = rng.choice(["", "  ", "        "])
    for line in text.split("\n"):
        if line.startswith("--"):
            lines.append(re.sub(r"^--   +(?=- )", "-- ", line))
            continue
        match = re.fullmatch(r"(    )(\S.*?)\s+(-- .*)", line)
        if match is None or line.count("--") != 1:
            lines.append(line)
            continue
        _, code, comment = match.groups()
        comma = ""
        if leading and code.endswith(","):
            code, comma = code[:-1], ","
        if rng.random() < 0.5:
            lines += [f"{indent}{comment}", indent + code]
        else:
            lines.append(f"{indent}{code}  {comment}")
        if comma:
            lines.append(f"{indent}{comma}")
    joined = re.sub(r"\n( *),\n *(?=\S)", lambda m: f"\n{m[1]}, ", "\n".join(lines))
    # a comment above the next column stands above its comma
    joined = re.sub(r"\n( *), (--[^\n]*)\n *", lambda m: f"\n{m[1]}{m[2]}\n{m[1]}, ", joined)
    return _in_another_case(joined) if rng.random() < 0.5 else joined


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_the_template_says_the_same_when_its_comments_are_moved(tmp_path: Path, path: Path) -> None:
    place = str(path.relative_to(TEMPLATE))
    sources = (*TEMPLATE.glob("macros/*.sql"), *MODELS, TEMPLATE / "sqlflow.yml")
    files: dict[str, str | bytes] = {str(file.relative_to(TEMPLATE)): file.read_text() for file in sources}

    def said(text: str) -> dict[str, Any]:
        project, problems = read(tmp_path, {**files, place: text})
        assert problems == [], text
        return facts(next(one.header for one in project.models if str(one.file.path) == place))

    before = said(path.read_text())
    rng = random.Random(path.stem)
    for _ in range(5):
        text = moved(path.read_text(), rng)
        assert said(text) == before, text


# ---------------------------------------------------------------- the real ones


FORMATTERS = Path(os.environ.get("SQLFLOW_TEST_FORMATTERS", Path(sys.prefix) / "formatters" / "bin"))


@pytest.mark.long
@pytest.mark.skipif(not (FORMATTERS / "sqlfmt").exists(), reason="`make test-long` installs the formatters")
@pytest.mark.parametrize(
    "commands",
    [
        ["sqlfmt models"],
        ["sqlfmt --line-length 60 models"],
        ["sqlfluff fix --dialect duckdb models"],
        ["sqlfluff fix --dialect duckdb models", "sqlfmt models"],
        ["sqlfmt models", "sqlfluff fix --dialect duckdb models"],
    ],
    ids=" then ".join,
)
def test_formatters_leave_the_template_what_it_is(tmp_path: Path, commands: list[str]) -> None:
    project = tmp_path / "flights"
    subprocess.run([sys.executable, "-m", "sqlflow", "init", str(project)], check=True, capture_output=True)
    before = _models(project)
    texts = {path: path.read_text() for path in project.glob("models/**/*.sql")}
    for command in commands:
        program, *arguments = command.split()
        subprocess.run([FORMATTERS / program, *arguments], cwd=project, capture_output=True, timeout=500)
    assert any(path.read_text() != text for path, text in texts.items())
    after = _models(project)
    for name, one in before.items():
        assert facts(after[name].header) == facts(one.header), after[name].file.text
    ran = subprocess.run([sys.executable, "-m", "sqlflow", "compile"], cwd=project, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "compiled 16 models into target/\n")


def _models(project: Path) -> dict[str, Model]:
    found, problems = read_project(config(project))
    assert problems == []
    return {str(one.name): one for one in found.models}


# ---------------------------------------------------------------- odd comments


QUERIES = [
    "SELECT a , b + 1 AS b , ( SELECT max ( x ) FROM u ) AS c FROM t WHERE a = 'it''s -- no comment' ORDER BY 1",
    'WITH f AS ( SELECT a , "b -- c" FROM t ) , g AS ( SELECT * FROM f ) SELECT * FROM g LIMIT 3',
    "SELECT DISTINCT a , '/* none */' AS b FROM t UNION ALL SELECT x , y FROM u",
    "( SELECT [ 1 , 2 ] AS a , { 'k' : 1 } AS b )",
    "FROM ( SELECT a , $$ -- '$$ AS b FROM t ) AS s ( c , d )",
]
ODD = [
    "", "'", '"', "''", "`", "it's", "(", ")", "[", "{", "}", ";", "\\", "$", "$$", "$x", "${y}", "%", "#", "\t", "\x0b", "\u00a0", "\u200b",
    "\ufeff", "é", "日本語", "🦆", "e\u0301", "/ *", "SELECT", "FROM t", "a, b", "- x", "***", "=====", ": y", "@", "@@", "a@b.c", "@todo",
]  # fmt: skip
WORDS = [
    "@not_null",
    "@unique",
    "@in(1)",
    "@notnull",
    "@nope(1)",
    "@mode: view",
    "@references(x)",
    "@pii",
    "@row_count(1)",
]


def _odd(rng: random.Random, newline: str) -> str:
    before, after = (" ".join(rng.sample(ODD, rng.randint(0, 3))) for _ in range(2))
    said = f"{before} {rng.choice(WORDS)} {after}"
    match rng.choice(["line", "line", "dashes", "block", "nested", "lines"]):
        case "line":
            return f"--{said}{newline}"
        case "dashes":
            return f"---{said}{newline}"
        case "block":
            return f"/*{said}*/"
        case "nested":
            return f"/* /*{said}*/ */"
        case _:
            return f"/*{newline} * {said}{newline} */{newline}"


@pytest.mark.parametrize("seed", range(400))
def test_no_word_in_a_comment_is_passed_over(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    newline = rng.choice(["\n", "\r\n"])
    tokens = re.findall(r"'(?:[^']|'')*'|\"[^\"]*\"|\$\$.*?\$\$|\S+", rng.choice(QUERIES))
    place = rng.randint(0, len(tokens))
    comment = _odd(rng, newline)
    gaps = [rng.choice([" ", newline, f"{newline}    "]) for _ in tokens]
    before = "".join(gap + token for gap, token in zip(gaps[:place], tokens[:place], strict=True))
    after = "".join(gap + token for gap, token in zip(gaps[place:], tokens[place:], strict=True))
    text = rng.choice(["", "\ufeff"]) + (before + rng.choice([" ", newline]) + comment + after).lstrip()
    write(tmp_path, {"models/m.sql": text})
    project, problems = read(tmp_path, {"models/m.sql": text})
    line = before.count("\n") + 1
    told = [p for p in problems if p.span is not None and p.span.line >= line - 1]
    checks = [check for one in project.models for check in one.header.checks]
    directive = [one for one in project.models if str(one.header.mode) == "view"]
    assert told or checks or directive, (text, problems)
    assert len(problems) == len(told), (text, problems)
