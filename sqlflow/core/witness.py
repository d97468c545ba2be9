"""What a transaction says of the inputs that it has read. The world does not stand still while a build runs: a version
of an input is what was seen when the build was planned, and counts as read only if it still was that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct, field

from sqlflow.core.engine import Session
from sqlflow.core.names import TableName
from sqlflow.core.plan import SignatureUpdate, Step, Task
from sqlflow.core.records import TableRecord
from sqlflow.core.seen import Read


class Witnessed(Struct, frozen=True):
    """What was read of some inputs: of those that were not as planned, for `TableRecord.inputs`, and what is to
    be remembered of their partitions."""

    inputs: Mapping[str, Read] = field(default_factory=dict)
    signatures: tuple[SignatureUpdate, ...] = ()

    def also(self, other: Witnessed) -> Witnessed:
        """Both, the other one being later."""
        return Witnessed({**self.inputs, **other.inputs}, (*self.signatures, *other.signatures))


class Noting(Struct, frozen=True):
    """What an input's own task has found: the record that is true of it. `known`: what its log says of the new version is
    all that changed."""

    record: TableRecord
    known: bool = True


class Witness(Protocol):
    """Sees one task through its transaction. It is made before the first statement."""

    @property
    def moved(self) -> frozenset[TableName]:
        """The inputs that were found not to be as planned."""

    def still(self, session: Session, step: Step) -> bool:
        """Whether the inputs of a step are what they were when they were looked at."""

    def read(self, session: Session, step: Step) -> Witnessed:
        """What the transaction has read of the inputs of a step."""

    def noted(self, session: Session, record: TableRecord) -> Noting:
        """What the transaction has read of the input that it writes down."""


class Witnesses(Protocol):
    """Those of one run."""

    def of(self, task: Task) -> Witness: ...

    def recorded(self, record: TableRecord) -> None:
        """Take notice of what is now true of an input."""

    def told(self, name: TableName) -> str:
        """What an input is called to people."""
