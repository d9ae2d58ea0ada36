"""Rounds: all engines are up, one is under load at a time, and each round starts elsewhere."""

import contextlib
import dataclasses
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from . import accounting, certificate, engines, idle, load, machine, origins, process, turns

CALIBRATION_SECONDS = 1
SETTLE_SECONDS = 1
MOST_STOLEN_PERCENT = 5
ATTEMPTS = 4
PAUSE_SECONDS = 15
"""A round in which the host of a virtual machine takes more than that of the time is taken again after a pause, so many
times in all."""


@dataclass(frozen=True)
class Plan:
    rounds: int
    seconds: int
    forwarding_fields: bool


def measure(scenario, field, plan):
    """{engine: [one sample per round]}; a sample is a dictionary of numbers."""
    field = [engine for engine in field if engine.takes_part(scenario)]
    samples = {engine.name: [] for engine in field}
    with surroundings(scenario, plan.forwarding_fields) as surrounding:
        setups = {engine: with_ports_of_its_own(surrounding) for engine in field}
        with probe(scenario, plan, setups) as take:
            for number in range(plan.rounds):
                for engine, sample in undisturbed(lambda: take(rotated(field, number))):
                    samples[engine.name].append(sample)
                    print(f"  {number + 1}/{plan.rounds} {engine.name:8} {show(sample)}", file=sys.stderr, flush=True)
    return samples


def undisturbed(take):
    """A round, taken again while the host takes too much of the machine's time; at last as it is."""
    for _ in range(ATTEMPTS):
        before = machine.cpu_times()
        samples = list(take())
        stolen = machine.stolen_percent(before)
        if stolen <= MOST_STOLEN_PERCENT:
            break
        print(f"  the host took {stolen:.0f} % of the machine's time", file=sys.stderr, flush=True)
        time.sleep(PAUSE_SECONDS)
    return [(engine, sample | {"stolen_percent": stolen}) for engine, sample in samples]


@contextlib.contextmanager
def surroundings(scenario, forwarding_fields):
    """What an engine needs for a scenario: its demands, and the origins, which run meanwhile."""
    with tempfile.TemporaryDirectory(prefix="ropeway-bench-") as name:
        directory = Path(name)
        shown = certificate.made_in(directory) if scenario.shape.tls else None
        with origins.running(directory, scenario.workers, scenario.shape) as ports:
            yield engines.Setup(
                directory=directory,
                origins=ports,
                workers=scenario.workers,
                max_connections=scenario.max_connections,
                access_log=scenario.access_log,
                forwarding_fields=forwarding_fields,
                certificate=shown,
                grpc=scenario.shape.grpc,
            )


def with_ports_of_its_own(setup):
    return dataclasses.replace(setup, port=process.free_port(), admin_port=process.free_port())


@contextlib.contextmanager
def probe(scenario, plan, setups):
    """A function from the engines, in the order of a round, to pairs of an engine and its sample."""
    if scenario.idle_connections:
        yield lambda order: ((engine, sample_idle(scenario, engine, setups[engine])) for engine in order)
        return
    directory = next(iter(setups.values())).directory
    with contextlib.ExitStack() as stack:
        daemons = {engine: stack.enter_context(engine.start(setups[engine])) for engine in setups}
        for daemon in daemons.values():
            warm_up(daemon, scenario, directory)
        if scenario.half_load:
            rate = half_of_the_slowest(scenario, daemons, directory)
            yield lambda order: (
                (engine, sample_at_rate(scenario, plan, daemons[engine], rate)) for engine in order
            )
        else:
            yield lambda order: sample_by_turns(scenario, plan, {engine: daemons[engine] for engine in order}, directory)


def warm_up(daemon, scenario, directory):
    """Fills pools and caches, and refuses to measure an engine that answers wrongly."""
    seen = load.at_full_speed(scenario.shape, daemon.port, 1, scenario.workers, directory).run()
    if seen.requests == 0 or seen.errors > seen.requests // 1000:
        raise RuntimeError(f"{daemon.name} answered {seen.requests} requests with {seen.errors} errors")


def rotated(names, number):
    start = number % len(names)
    return names[start:] + names[:start]


def half_of_the_slowest(scenario, daemons, directory):
    highest = {}
    for engine, daemon in daemons.items():
        generator = load.at_full_speed(scenario.shape, daemon.port, CALIBRATION_SECONDS, scenario.workers, directory)
        highest[engine.name] = generator.run().per_second
    slowest = min(highest, key=highest.get)
    print(f"  half of {slowest}'s {highest[slowest]:.0f} requests per second", file=sys.stderr)
    return highest[slowest] / 2


def sample_by_turns(scenario, plan, daemons, directory):
    """All engines at full speed, a slice at a time, until each had its seconds."""
    seconds = plan.seconds * len(daemons)
    generators = {
        engine: load.at_full_speed(scenario.shape, daemon.port, seconds, scenario.workers, directory)
        for engine, daemon in daemons.items()
    }
    pids = {engine: accounting.family(daemon.pid) for engine, daemon in daemons.items()}
    before = {engine: accounting.cpu_seconds(pids[engine]) for engine in daemons}
    with contextlib.ExitStack() as stack:
        memory = {engine: stack.enter_context(MemoryWatch(pids[engine])) for engine in daemons}
        turns_of = turns.taken(
            {engine: generator.start for engine, generator in generators.items()},
            lambda engine: cpu_seconds(daemons[engine], pids[engine]),
            2 * seconds + load.GRACE_SECONDS,
        )
    for engine, took in turns_of.items():
        seen = dataclasses.replace(generators[engine].read(took.printed), seconds=took.seconds)
        sample = sample_of(seen, accounting.cpu_seconds(pids[engine]) - before[engine], memory[engine])
        sample["busy"] = took.cpu_seconds / took.seconds
        # Of the requests that were under way when their generator was stopped there are too many.
        del sample["p99_ms"]
        yield engine, sample


def cpu_seconds(daemon, pids):
    try:
        return accounting.cpu_seconds(pids)
    except OSError as problem:
        raise RuntimeError(f"{daemon.name} has lost a process: {daemon.popen.poll()}\n{daemon.last_words()}") from problem


def sample_at_rate(scenario, plan, daemon, rate):
    """One engine on its own, so that latencies are what they are."""
    generator = load.at_rate(scenario.shape, daemon.port, plan.seconds, scenario.workers, rate)
    pids = accounting.family(daemon.pid)
    before = accounting.cpu_seconds(pids)
    with MemoryWatch(pids) as memory:
        seen = generator.run()
    return sample_of(seen, accounting.cpu_seconds(pids) - before, memory)


def sample_of(seen, cpu, memory):
    if seen.requests == 0:
        raise RuntimeError("an engine answered nothing")
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
    if seen.late_ms is not None:
        sample["late_ms"] = seen.late_ms
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
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def look(self):
        while not self.over.wait(self.EVERY_SECONDS):
            self.highest_kib = max(self.highest_kib, accounting.memory_kib(self.pids)[1])


def sample_idle(scenario, engine, setup):
    """A fresh process each time: what an allocator once took, it rarely gives back."""
    with engine.start(setup) as daemon:
        warm_up(daemon, scenario, setup.directory)
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
