"""The load generators: wrk as fast as it goes, h2load at a fixed rate."""

import math
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import machine, process

WRK_SCRIPT = Path(__file__).resolve().parent.parent / "wrk.lua"
GRACE_SECONDS = 30
"""A generator that has not ended this long after its time is killed, and the run fails."""


@dataclass
class Load:
    """What one run of a generator saw."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int

    @property
    def per_second(self):
        return self.requests / self.seconds


@dataclass(frozen=True)
class Shape:
    """The requests of a scenario."""

    path: str = "/"
    connections: int = 64
    method: str = "GET"
    body_bytes: int = 0
    close: bool = False
    """A new connection for every request."""


def at_full_speed(shape, port, seconds, workers):
    """wrk: every connection sends its next request as soon as it has the answer."""
    cores = machine.load_cores(workers)
    threads = min(len(cores), 2)
    printed = run_pinned([
        "wrk", "--latency", "-t", str(threads), "-c", str(shape.connections), "-d", f"{math.ceil(seconds)}s",
        "-s", str(WRK_SCRIPT), f"http://127.0.0.1:{port}{shape.path}",
        "--", shape.method, str(shape.body_bytes), "close" if shape.close else "keep",
    ], cores, seconds)
    line = re.search(r"^RESULT (.*)$", printed, re.MULTILINE)
    if line is None:
        raise RuntimeError(f"wrk printed no totals:\n{printed}")
    total = {key: int(value) for key, value in (word.split("=") for word in line.group(1).split())}
    return Load(
        requests=total["requests"],
        seconds=total["microseconds"] / 1e6,
        p50_ms=total["p50"] / 1e3,
        p99_ms=total["p99"] / 1e3,
        errors=total["socket_errors"] + total["bad_status"],
    )


def at_rate(shape, port, seconds, workers, per_second, directory):
    """h2load, which can hold a rate, over HTTP/1.1; its log has the time of every single request."""
    log = directory / "h2load.log"
    log.unlink(missing_ok=True)
    run_pinned([
        "h2load", "--h1", "-t", "1", "-c", str(shape.connections), "-D", str(math.ceil(seconds)),
        "--rps", f"{per_second / shape.connections:.3f}", f"--log-file={log}",
        f"http://127.0.0.1:{port}{shape.path}",
    ], machine.load_cores(workers), seconds)
    return from_request_log(log, seconds)


def from_request_log(log, seconds):
    """Lines of: start (us since the epoch), status, duration (us)."""
    durations, errors = [], 0
    for line in log.read_text().splitlines():
        _, status, microseconds = line.split()[:3]
        if status == "200":
            durations.append(int(microseconds))
        else:
            errors += 1
    if not durations:
        raise RuntimeError("h2load completed no request")
    durations.sort()
    return Load(
        requests=len(durations),
        seconds=math.ceil(seconds),
        p50_ms=percentile(durations, 50) / 1e3,
        p99_ms=percentile(durations, 99) / 1e3,
        errors=errors,
    )


def percentile(ordered, percent):
    """Nearest rank."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def run_pinned(command, cores, seconds):
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + GRACE_SECONDS, stdin=subprocess.DEVNULL,
        preexec_fn=lambda: process.prepare_child(cores), check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
