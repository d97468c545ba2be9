"""The password of a server is never shown or written, by any command or failure; TLS is what the address says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from markdown_cases import sqlflow
from own_server import OwnServer, own_server

from sqlflow.cli.app import _bug_in_words

PASSWORD = "kan@rien/vogel:geheim%41?zang'#[x]"
PIECES = ("rien", "vogel", "geheim", "zang")
FILES = {
    "sqlflow.yml": "name: tiny\ndialect: postgres\ntargets:\n  dev: {engine: postgres, url: '${SECRET}'}\n"
    "  other: {engine: postgres, url: '${SECRET}'}\ndefault_target: dev\n",
    "models/a/one.sql": "-- @checks:\n--   - not_null: x\nSELECT n AS x FROM ext.numbers\n",
    "models/a/two.sql": "SELECT x FROM a.one\n",
}
COMMANDS = [
    "build",
    "build --dry-run --sql --json",
    "build --json --full-refresh",
    "compile",
    "compile --json",
    "list --json",
    "lint",
    "show a.one",
    "check",
    "verify",
    "lineage a.one",
    "state show",
    "state show a.one",
    "state schema a.one",
    "state rebuild",
    "state unlock",
    "runs --json",
    "clean",
    "diff --with other",
    "diff a.one a.two",
    "watch --build",
    "build --help",
    "explain cannot-connect",
]


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    with own_server() as running:
        literal = PASSWORD.replace("'", "''")
        running.sql(f"CREATE ROLE keeper LOGIN PASSWORD '{literal}'", "CREATE DATABASE kept OWNER keeper")
        running.sql(
            "CREATE SCHEMA ext AUTHORIZATION keeper",
            "CREATE TABLE ext.numbers AS SELECT 1 AS n",
            f"CREATE TABLE ext.texts AS SELECT '{literal}' AS n",
            "ALTER TABLE ext.numbers OWNER TO keeper",
            "ALTER TABLE ext.texts OWNER TO keeper",
            database="kept",
        )
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def _run(project: Path, command: str, codes: tuple[int, ...]) -> str:
    ran = sqlflow(project, f"sqlflow {command}")
    told = ran.out + ran.err
    assert ran.code in codes, (command, told)
    for piece in PIECES:
        assert piece not in told, (command, told)
    return told


def _nothing_is_written(project: Path) -> None:
    for path in project.rglob("*"):
        if path.is_file():
            for piece in PIECES:
                assert piece.encode() not in path.read_bytes(), path


def test_no_command_shows_the_password(server: OwnServer, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", server.over_tcp("kept", "keeper", PASSWORD))
    for command in COMMANDS:
        _run(project, command, (0, 1))
    assert "nothing to do" in _run(project, "build", (0,))
    _nothing_is_written(project)


def _addresses(server: OwnServer) -> dict[str, str]:
    good, escaped = server.over_tcp("kept", "keeper", PASSWORD), quote(PASSWORD, safe="")
    with_backslashes = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
    return {
        "another user": good.replace("keeper", "stranger"),
        "another database": good.replace("/kept", "/none"),
        "nobody listens": good.replace(f":{server.port}", ":1"),
        "no such host": good.replace("127.0.0.1", "no-such-host.invalid"),
        "not escaped": f"postgresql://keeper:{PASSWORD}@127.0.0.1:{server.port}/kept",
        "half escaped": f"postgresql://keeper:rien%zzvogel@127.0.0.1:{server.port}/kept",
        "in the options": f"postgresql://127.0.0.1:{server.port}/kept?user=stranger&password={escaped}",
        "an unknown option": f"{good}?passwort={escaped}",
        "as words": f"host=127.0.0.1 port={server.port} dbname=kept user=stranger password='{with_backslashes}'",
        "words with a mistake": f"host=127.0.0.1 password='{with_backslashes} user=keeper",
        "no address": f"mysql://keeper:{escaped}@127.0.0.1/kept",
    }


CASES = (
    "another user", "another database", "nobody listens", "no such host", "not escaped", "half escaped",
    "in the options", "an unknown option", "as words", "words with a mistake", "no address",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_no_failure_to_connect_shows_the_password(
    server: OwnServer, project: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setenv("SECRET", _addresses(server)[case])
    for command in ("build", "build --json", "compile --json", "show a.one", "diff --with other", "watch --build"):
        told = _run(project, command, (1,))
        if not command.startswith("watch"):
            assert "[cannot-connect]" in told or "[invalid-value]" in told or "cannot-connect" in told, told
    _nothing_is_written(project)


def test_errors_of_the_server_are_told_without_the_password(
    server: OwnServer, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a value in a table here, which the server repeats."""
    monkeypatch.setenv("SECRET", server.over_tcp("kept", "keeper", PASSWORD))
    (project / "models/a/two.sql").write_text("SELECT CAST(n AS INT) AS i FROM ext.texts\n")
    told = _run(project, "build", (1,))
    assert 'invalid input syntax for type integer: "***"' in told
    _run(project, "runs --json", (0,))
    _run(project, "verify", (0, 1))
    _nothing_is_written(project)


def test_the_report_of_a_bug_has_no_password(server: OwnServer, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", server.over_tcp("kept", "keeper", PASSWORD))
    monkeypatch.chdir(project)
    with pytest.raises(psycopg.OperationalError) as error:
        psycopg.connect(server.over_tcp("there_is_none", "keeper", PASSWORD))
    told = _bug_in_words(error.value)
    assert "a report is in" in told
    assert all(piece not in told for piece in PIECES)
    _nothing_is_written(project)


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_tls_is_what_the_address_says(
    server: OwnServer, project: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """This server has none."""
    monkeypatch.setenv("SECRET", server.over_tcp("kept", "keeper", PASSWORD) + f"?sslmode={mode}")
    told = _run(project, "build", (1,))
    assert "error[cannot-connect]" in told
    assert "server does not support SSL, but SSL was required" in told
