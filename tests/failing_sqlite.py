"""SQLite connections whose statements fail as on a failing disk, for tests."""

import contextlib
import sqlite3
from dataclasses import dataclass

_NAMES = """
    ABORT AUTH BUSY BUSY_SNAPSHOT CANTOPEN CONSTRAINT_PRIMARYKEY CONSTRAINT_NOTNULL ERROR FULL INTERNAL INTERRUPT
    IOERR IOERR_CORRUPTFS IOERR_FSYNC IOERR_READ IOERR_SHMMAP IOERR_WRITE LOCKED MISMATCH MISUSE NOLFS NOMEM PERM
    PROTOCOL RANGE READONLY READONLY_DBMOVED SCHEMA TOOBIG
"""
CODES = {name: getattr(sqlite3, f"SQLITE_{name}") for name in _NAMES.split()}
"""Every error of SQLite that is no damage of the file, with some of their extended codes."""


@dataclass
class Fault:
    """Fault of a file's connections.

    Attributes:
        code: SQLite's extended code.
        statement: number of statements before the first that fails.
        count: number of statements that fail, one after another.
        executed: True if a statement takes effect and fails then, as a commit whose sync fails.
        hits: number of statements that have failed.
        passed: number of statements since the fault is in force.
    """

    code: int
    statement: int = 0
    count: int = 1
    executed: bool = False
    hits: int = 0
    passed: int = 0


_faults: list[Fault] = []
"""The fault in force; empty without one."""


class _Connection(sqlite3.Connection):
    def execute(self, *arguments):
        return _run(super().execute, *arguments)

    def executemany(self, *arguments):
        return _run(super().executemany, *arguments)

    def executescript(self, *arguments):
        return _run(super().executescript, *arguments)


def _run(execute, *arguments):
    fault = _faults[0] if _faults else Fault(0, count=0)
    fault.passed += 1
    if not fault.statement < fault.passed <= fault.statement + fault.count:
        return execute(*arguments)
    fault.hits += 1
    if fault.executed:
        execute(*arguments)
    error = sqlite3.OperationalError(f"injected at {arguments[0][:30]!r}")
    error.sqlite_errorcode = fault.code
    raise error


def install(monkeypatch):
    """Make connections to files fail within `fault`; connections to memory never fail."""
    connect = sqlite3.connect

    def fail(path, **options):
        return connect(path, **options) if path == ":memory:" else connect(path, factory=_Connection, **options)

    monkeypatch.setattr(sqlite3, "connect", fail)


@contextlib.contextmanager
def fault(fault):
    """Let a fault be in force within the context; None for no fault."""
    _faults[:] = [fault] if fault else []
    try:
        yield fault
    finally:
        _faults.clear()
