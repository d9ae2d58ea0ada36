"""Interleaved rounds: all engines are up, one is under load at a time, and each round starts elsewhere."""

import contextlib
import functools
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from . import accounting, certificate, engines, idle, load, machine, origins, process

CALIBRATION_SECONDS = 1
SETTLE_SECONDS = 1


@dataclass(frozen=True)
class Plan:
    rounds: int
    seconds: int
    forwarding_fields: bool


def measure(scenario, field, plan):
    """{engine: [one sample per round]}; a sample is a dictionary of numbers."""
    field = [engine for engine in field if engine.takes_part(scenario)]
    samples = {engine.name: [] for engine in field}
    with tempfile.TemporaryDirectory(prefix="ropeway-bench-") as name:
        directory = Path(name)
        shown = certificate.made_in(directory) if scenario.shape.tls else None
        with origins.running(directory, scenario.workers, scenario.shape.grpc) as ports:
            setups = {engine: setup(scenario, plan, directory, ports, shown) for engine in field}
            with probes(scenario, plan, setups) as by_engine:
                for number in range(plan.rounds):
                    for engine in rotated(field, number):
                        sample = by_engine[engine]()
                        samples[engine.name].append(sample)
                        print(f"  {number + 1}/{plan.rounds} {engine.name:8} {show(sample)}", file=sys.stderr, flush=True)
    return samples


def setup(scenario, plan, directory, ports, shown):
    return engines.Setup(
        directory=directory,
        origins=ports,
        workers=scenario.workers,
        max_connections=scenario.max_connections,
        access_log=scenario.access_log,
        forwarding_fields=plan.forwarding_fields,
        certificate=shown,
        grpc=scenario.shape.grpc,
    )


@contextlib.contextmanager
def probes(scenario, plan, setups):
    """{engine: a function that takes one sample}."""
    if scenario.idle_connections:
        yield {engine: functools.partial(sample_idle, scenario, engine, setups[engine]) for engine in setups}
        return
    with contextlib.ExitStack() as stack:
        daemons = {engine: stack.enter_context(engine.start(setups[engine])) for engine in setups}
        for daemon in daemons.values():
            warm_up(daemon, scenario)
        generate = load_generator(scenario, plan, daemons, next(iter(setups.values())).directory)
        yield {engine: functools.partial(sample_load, daemon, generate) for engine, daemon in daemons.items()}


def load_generator(scenario, plan, daemons, directory):
    """The load of this scenario as a function of the port it goes to."""
    if scenario.half_load:
        rate = half_of_the_slowest(scenario, daemons)
        return lambda port: load.at_rate(scenario.shape, port, plan.seconds, scenario.workers, rate, directory)
    return lambda port: load.at_full_speed(scenario.shape, port, plan.seconds, scenario.workers)


def warm_up(daemon, scenario):
    """Fills pools and caches, and refuses to measure an engine that answers wrongly."""
    seen = load.at_full_speed(scenario.shape, daemon.port, 1, scenario.workers)
    if seen.requests == 0 or seen.errors > seen.requests // 1000:
        raise RuntimeError(f"{daemon.name} answered {seen.requests} requests with {seen.errors} errors")


def rotated(names, number):
    start = number % len(names)
    return names[start:] + names[:start]


def half_of_the_slowest(scenario, daemons):
    highest = {
        engine.name: load.at_full_speed(scenario.shape, daemon.port, CALIBRATION_SECONDS, scenario.workers).per_second
        for engine, daemon in daemons.items()
    }
    slowest = min(highest, key=highest.get)
    print(f"  half of {slowest}'s {highest[slowest]:.0f} requests per second", file=sys.stderr)
    return highest[slowest] / 2


def sample_load(daemon, generate):
    pids = accounting.family(daemon.pid)
    memory = MemoryWatch(pids)
    cpu = accounting.cpu_seconds(pids)
    with memory:
        seen = generate(daemon.port)
    cpu = accounting.cpu_seconds(pids) - cpu
    sample = {
        "cpu_us": cpu / seen.requests * 1e6,
        "busy": cpu / seen.seconds,
        "per_second": seen.per_second,
        "p50_ms": seen.p50_ms,
        "p99_ms": seen.p99_ms,
        "memory_mib": memory.highest_kib / 1024,
        "errors": seen.errors,
    }
    if seen.resumed is not None:
        sample["resumed_percent"] = 100 * seen.resumed
    return sample


class MemoryWatch:
    """The highest memory seen while the load ran, looked at a few times only: looking costs as well."""

    EVERY_SECONDS = 0.4

    def __init__(self, pids):
        self.pids = pids
        self.highest_kib = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def look(self):
        while not self.over.wait(self.EVERY_SECONDS):
            self.highest_kib = max(self.highest_kib, accounting.memory_kib(self.pids)[1])


def sample_idle(scenario, engine, setup):
    """A fresh process each time: what an allocator once took, it rarely gives back."""
    with engine.start(setup) as daemon:
        warm_up(daemon, scenario)
        time.sleep(SETTLE_SECONDS)
        pids = accounting.family(daemon.pid)
        before = accounting.memory_kib(pids)[1]
        with idle_client(scenario, daemon) as still_open:
            time.sleep(SETTLE_SECONDS)
            during = accounting.memory_kib(pids)[1]
            open_now = still_open()
    return {
        "kib_per_connection": (during - before) / scenario.idle_connections,
        "memory_mib": during / 1024,
        "errors": scenario.idle_connections - open_now,
    }


@contextlib.contextmanager
def idle_client(scenario, daemon):
    """Yields a function that counts the connections that are still open."""
    command = [sys.executable, idle.__file__, str(daemon.port), str(scenario.idle_connections)]
    command += ["--tls"] if scenario.shape.tls else []
    cores = machine.load_cores(scenario.workers)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          preexec_fn=lambda: os.sched_setaffinity(0, cores)) as client:
        try:
            if client.stdout.readline() != "ready\n":
                raise RuntimeError(f"{daemon.name} does not hold {scenario.idle_connections} connections")
            yield lambda: ask(client)
        finally:
            client.stdin.close()
            client.wait(process.STOP_SECONDS)


def ask(client):
    client.stdin.write("count\n")
    client.stdin.flush()
    return int(client.stdout.readline())


def show(sample):
    return "  ".join(f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
                     for key, value in sample.items())
