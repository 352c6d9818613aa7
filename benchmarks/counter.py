"""Counters of instructions: programs that run another program and count what it executes in user space."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from checkout import ROOT

STEADY = {"OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
"""Environment in which two runs differ least. The daemon sets the first of them itself."""


@dataclass(frozen=True)
class Counter:
    """Program that counts the instructions of another one.

    Attributes:
        name: key in the record.
        command: the program and its arguments; the counted program follows.
        pattern: finds each number in its standard error; the last one is that of the whole program.
        repetitions: how often each kind of work is repeated: as many as the counter's noise requires.
        python: interpreter that is counted.
        environment: further environment variables.
        has_marks: whether the counter also reports a number at each mark of counted_work.py.
    """

    name: str
    command: Sequence[str]
    pattern: str
    repetitions: int
    python: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)
    has_marks: bool = False

    def count(self, *arguments: str) -> tuple[list[int], str]:
        """Run the interpreter under the counter; return the counts, and what the program printed.

        Raises:
            FileNotFoundError: the counter is not installed.
            RuntimeError: counter or program failed, or the counter counted nothing.
        """
        command = [*self.command, self.python, *arguments]
        environment = {**os.environ, **STEADY, "PYTHONPATH": str(ROOT), **self.environment}
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        *_, last_line = ["no message", *done.stderr.strip().splitlines()]
        if done.returncode:
            raise RuntimeError(f"exit status {done.returncode} of {' '.join(command)}: {last_line}")
        counts = [int(number.replace(",", "")) for number in re.findall(self.pattern, done.stderr)]
        if not counts:
            raise RuntimeError(f"{self.name} counts no instructions here: {last_line}")
        return counts, done.stdout


def perf() -> Counter:
    """Return the counter of this machine's processor."""
    command = ("perf", "stat", "-x,", "-e", "instructions:u")
    return Counter("perf", command, r"(?m)^(\d+),,instructions:u", 120)


def valgrind() -> Counter:
    """Return the counter that simulates this machine's processor, without AVX-512."""
    command = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
    return Counter("valgrind", command, r"I\s+refs:\s+([\d,]+)", 10)
