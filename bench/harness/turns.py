"""Load generators that take turns: each runs for a slice, and is stopped while the others run.

What else the host of a virtual machine does makes the same work cost up to 1.75 times as much, for seconds at a time. A
turn is shorter than that, so all engines get their share of the good times and the bad.
"""

import contextlib
import signal
import tempfile
import time
from dataclasses import dataclass

SLICE_SECONDS = 0.1
SETTLE_SECONDS = 0.004
"""For what is still under way when a generator is stopped."""


@dataclass(frozen=True)
class Turns:
    """What one generator did in all of its turns."""

    printed: str
    seconds: float
    cpu_seconds: float
    """What its engine used meanwhile."""


def taken(starts, cpu_seconds, limit):
    """{name: Turns}, from {name: a function that starts the generator} and one that tells an engine's CPU time.

    The generators end by themselves, all after about the same time, and have to before `limit` seconds.
    """
    deadline = time.monotonic() + limit
    with contextlib.ExitStack() as stack:
        generators = {name: stack.enter_context(Held(start)) for name, start in starts.items()}
        order = list(generators)
        while running := [name for name in order if not generators[name].has_ended()]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{', '.join(running)}: the load generator does not end")
            for name in running:
                generators[name].take_turn(lambda name=name: cpu_seconds(name))
            order.reverse()
        return {name: generator.turns() for name, generator in generators.items()}


class Held:
    """A process that runs in its turns only: use it as a context, so that it never outlives them."""

    def __init__(self, start):
        self.output = tempfile.TemporaryFile("w+")
        self.popen = start(self.output)
        self.popen.send_signal(signal.SIGSTOP)
        self.seconds = self.cpu_seconds = 0.0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.popen.kill()
        self.popen.wait()
        self.output.close()

    def has_ended(self):
        return self.popen.poll() is not None

    def take_turn(self, cpu_seconds):
        cpu, start = cpu_seconds(), time.monotonic()
        self.popen.send_signal(signal.SIGCONT)
        time.sleep(SLICE_SECONDS)
        self.popen.send_signal(signal.SIGSTOP)
        self.seconds += time.monotonic() - start
        self.cpu_seconds += cpu_seconds() - cpu
        time.sleep(SETTLE_SECONDS)

    def turns(self):
        self.output.seek(0)
        printed = self.output.read()
        if self.popen.returncode != 0:
            raise RuntimeError(f"{self.popen.args[0]} failed with status {self.popen.returncode}:\n{printed}")
        return Turns(printed, self.seconds, self.cpu_seconds)
