"""Law: formatting, comments, places of files and their order change nothing; edits of the meaning do."""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lawful import Lawful
from length import at_length

from sqlflow.cli.compile import compile_project

# Each header stands apart from its query: directives are data, not formatting.
MODELS: dict[str, tuple[str, str]] = {
    "models/staging/events.sql": (
        "-- @mode: view\n",
        "SELECT id, day, k, v + 1 AS v, 'it''s -- no comment' AS \"Odd Name\" FROM raw.events WHERE v IS NOT NULL AND k <> 7",
    ),
    "models/staging/pieces.sql": (
        "-- @mode: inline\n",
        "SELECT e.day AS day, e.k AS k, sum(e.v) AS total FROM staging.events AS e GROUP BY e.day, e.k",
    ),
    "models/marts/days.sql": (
        "-- @mode: incremental\n-- @time: day\n",
        "WITH a AS (SELECT * FROM staging.pieces AS p), b AS (SELECT day AS day, count(*) AS n FROM a AS q GROUP BY 1) "
        "SELECT a.day AS day, a.k AS k, CASE WHEN a.total > 2 THEN 'much' ELSE 'little' END AS size, b.n AS n "
        "FROM a AS a LEFT JOIN b AS b ON a.day = b.day",
    ),
    "models/marts/keys.sql": (
        "-- @mode: merge\n-- @key: id\n-- @cursor: v\n",
        "SELECT id AS id, v AS v, $$a  b$$ AS quoted FROM staging.events AS e WHERE v BETWEEN 0 AND 100",
    ),
    "models/marts/wide.sql": (
        "",
        "SELECT d.k AS k, max(d.n) AS n, list_transform([1, 2], lambda x: x + 1) AS l FROM marts.days AS d GROUP BY d.k",
    ),
}
# A comment inside of GROUP BY stops sqlglot, and with it the analysis: the two words are kept together here.
_TOKEN = re.compile(r"GROUP BY|\$\$.*?\$\$|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\w+|<>|<=|>=|\s+|.", re.DOTALL)
_WORDS = frozenset(
    [
        "select",
        "from",
        "where",
        "group",
        "by",
        "as",
        "and",
        "is",
        "not",
        "null",
        "with",
        "case",
        "when",
        "then",
        "else",
        "end",
        "left",
        "join",
        "on",
        "between",
    ]
)
_GAPS = (" ", "\n", "\t", "\n\n  ", " /* a; comment */ ", " -- the rest\n", "  ", " /* 'x */ ")
EDITS = (
    ("models/staging/events.sql", "v + 1", "v + 2"),
    ("models/staging/events.sql", "it''s --", "it''s  --"),
    ("models/staging/events.sql", "k <> 7", "k <> 8"),
    ("models/staging/pieces.sql", "sum(", "max("),
    ("models/marts/days.sql", "'much'", "'Much'"),
    ("models/marts/days.sql", "LEFT JOIN", "JOIN"),
    ("models/marts/keys.sql", "$$a  b$$", "$$a b$$"),
    ("models/marts/keys.sql", "v BETWEEN", "v NOT BETWEEN"),
    ("models/marts/wide.sql", "x + 1", "x + 2"),
)


def reformatted(query: str, chance: random.Random) -> str:
    """The same tokens with other space, case of keywords and comments between them."""
    parts = []
    for token in _TOKEN.findall(query):
        if token.isspace():
            parts.append(chance.choice(_GAPS))
        elif token == "GROUP BY":
            parts.append(chance.choice(("GROUP BY", "group by", "Group\n\tBY", "GROUP  by")))
        elif token.lower() in _WORDS:
            parts.append("".join(chance.choice((c.lower(), c.upper())) for c in token))
        elif token in "(),=" and chance.random() < 0.4:
            parts.append(chance.choice(_GAPS) + token + chance.choice(_GAPS))
        else:
            parts.append(token)
    return "".join(parts) + chance.choice(("", "\n", ";", "\n;\n", " -- end"))


def project(root: Path, chance: random.Random | None = None, edit: tuple[str, str, str] | None = None) -> Lawful:
    """The models in `root`: as they stand, or written differently into other files of the same schema folders."""
    made = Lawful(root)
    made.begin({})
    shutil.rmtree(root / "models", ignore_errors=True)
    models = list(MODELS.items())
    if chance is not None:
        chance.shuffle(models)
    for path, (header, query) in models:
        if edit is not None and edit[0] == path:
            assert edit[1] in query
            query = query.replace(edit[1], edit[2])
        if chance is not None:
            query = reformatted(query, chance)
            header = header + chance.choice(("", "-- only words\n", "--\n"))
            schema, _, name = path.removeprefix("models/").partition("/")
            path = f"models/{schema}/{chance.choice(('', 'deep/', 'deep/er/'))}{name}"
        made.write({path: header + query})
    return made


def manifest(made: Lawful) -> dict[str, object]:
    """What compiling says of the project, without texts and places."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()):
        assert compile_project(made.root, None, (), json=True) == 0
    found: dict[str, dict[str, dict[str, object]]] = json.loads(out.getvalue())
    models = found["models"]
    for model in models.values():
        for told in ("file", "sql", "description"):
            model.pop(told)
        columns = model["columns"]
        assert isinstance(columns, list)
        for column in columns:
            del column["description"]  # a comment behind a column is its documentation
    return {"order": list(models), "models": models}


def begin(root: Path) -> Lawful:
    made = project(root)
    made.sql(
        "CREATE SCHEMA raw",
        "CREATE TABLE raw.events AS SELECT i::INT AS id, DATE '2024-01-01' + i::INT % 3 AS day, i % 2 AS k, i AS v FROM range(7) t(i)",
    )
    built = made.build()
    assert built.code == 0, built.told
    return made


_LAW = settings(max_examples=5, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


_LONG = settings(_LAW, max_examples=at_length(40), derandomize=False)


@_LAW
@given(st.randoms(use_true_random=False))
def test_the_way_a_project_is_written_means_nothing(chance: random.Random) -> None:
    _means_nothing(chance)


@pytest.mark.long
@_LONG
@given(st.randoms(use_true_random=False))
def test_the_way_a_project_is_written_means_nothing_at_length(chance: random.Random) -> None:
    _means_nothing(chance)


def _means_nothing(chance: random.Random) -> None:
    with tempfile.TemporaryDirectory(prefix="sqlflow-law-") as folder:
        made = begin(Path(folder))
        before = manifest(made)
        project(made.root, chance)
        assert manifest(made) == before
        assert made.planned() == []
        if chance.random() < 0.5:
            made.forget_state()
            assert made.planned() == []


@_LAW
@given(st.randoms(use_true_random=False), st.sampled_from(EDITS))
def test_what_changes_the_meaning_is_seen_through_any_formatting(
    chance: random.Random, edit: tuple[str, str, str]
) -> None:
    _is_seen(chance, edit)


@pytest.mark.long
@_LONG
@given(st.randoms(use_true_random=False), st.sampled_from(EDITS))
def test_what_changes_the_meaning_is_seen_through_any_formatting_at_length(
    chance: random.Random, edit: tuple[str, str, str]
) -> None:
    _is_seen(chance, edit)


def _is_seen(chance: random.Random, edit: tuple[str, str, str]) -> None:
    with tempfile.TemporaryDirectory(prefix="sqlflow-law-") as folder:
        made = begin(Path(folder))
        before = manifest(made)
        project(made.root, chance, edit)
        assert manifest(made) != before
        assert made.planned() != []


def test_optional_words_mean_nothing(tmp_path: Path) -> None:
    made = begin(tmp_path)
    path = "models/marts/wide.sql"
    header, query = MODELS[path]
    made.write({path: header + query.replace(" AS ", " ")})
    assert made.planned() == []
