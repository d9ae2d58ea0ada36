"""The load generators: wrk, h2load and `tls_connections.c` as fast as they go, `arrivals.c` at a rate."""

import math
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import machine, process, programs

BENCH = Path(__file__).resolve().parent.parent
WRK_SCRIPT = BENCH / "wrk.lua"
CLIENT_TLS = BENCH / "client-tls.cnf"
TLS_CONNECTIONS = BENCH / "harness" / "tls_connections.c"
ARRIVALS = BENCH / "harness" / "arrivals.c"
SMALLEST_BODY = 128
"""Bytes of the shortest body that is asked for with h2load at full speed."""
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
    resumed: float | None = None
    """The share of the connections that resumed a TLS session, where the generator knows."""
    late_ms: float | None = None
    """The 99th percentile of how long after its time a request was sent, where requests have a time."""

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
    tls: bool = False
    resume: bool = False
    """With `tls` and `close`: every connection offers the newest session ticket; otherwise none does."""
    streams: int = 0
    """HTTP/2 requests in flight on each connection; 0 for HTTP/1.1."""
    grpc: bool = False
    """Unary gRPC calls over HTTP/2 without TLS, to origins that speak the same; `body_bytes` is the message's."""

    @property
    def scheme(self):
        return "https" if self.tls else "http"


@dataclass(frozen=True)
class Generator:
    """A command line that makes load, and what its output means."""

    command: list
    read: Callable[[str], Load]
    cores: list
    seconds: float

    def start(self, output):
        return subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, text=True,
            preexec_fn=lambda: process.prepare_child(self.cores),
            env=os.environ | {"OPENSSL_CONF": str(CLIENT_TLS)},
        )

    def run(self):
        with self.start(subprocess.PIPE) as popen:
            try:
                printed, _ = popen.communicate(timeout=self.seconds + GRACE_SECONDS)
            except BaseException:
                popen.kill()
                raise
        if popen.returncode != 0:
            raise RuntimeError(f"{self.command[0]} failed with status {popen.returncode}:\n{printed}")
        return self.read(printed)


def at_full_speed(shape, port, seconds, workers, directory):
    """Every connection, or stream, sends its next request as soon as it has the answer."""
    make = h2load if shape.streams else tls_connections if shape.tls and shape.close else wrk
    return make(shape, port, math.ceil(seconds), machine.load_cores(workers), directory)


def wrk(shape, port, seconds, cores, _directory):
    def read(printed):
        total = totals(printed)
        total["errors"] = total["socket_errors"] + total["bad_status"]
        return seen_in(total)

    return Generator([
        "wrk", "--latency", "-t", str(min(len(cores), 2)), "-c", str(shape.connections), "-d", f"{seconds}s",
        "-s", str(WRK_SCRIPT), f"{shape.scheme}://127.0.0.1:{port}{shape.path}",
        "--", shape.method, str(shape.body_bytes), "close" if shape.close else "keep",
    ], read, cores, seconds)


def tls_connections(shape, port, seconds, cores, _directory):
    """A TLS connection for each request. A resumption where none was wanted, or the reverse, is a wrong answer."""
    def read(printed):
        total = totals(printed)
        share = total["resumed"] / max(total["requests"], 1)
        if total["requests"] and (share < 0.95 if shape.resume else share > 0):
            raise RuntimeError(f"{share:.1%} of the connections resumed a session")
        return seen_in(total, resumed=share)

    program = programs.compiled(TLS_CONNECTIONS, "-lssl", "-lcrypto")
    wanted = "resumed" if shape.resume else "full"
    return Generator([program, str(port), str(shape.connections), str(seconds), wanted], read, cores, seconds)


def seen_in(total, **more):
    """What all of these generators print."""
    return Load(
        requests=total["requests"],
        seconds=total["microseconds"] / 1e6,
        p50_ms=total["p50"] / 1e3,
        p99_ms=total["p99"] / 1e3,
        errors=total["errors"],
        **more,
    )


def totals(printed):
    """The numbers of the RESULT line of `wrk.lua` and of our own generators."""
    line = re.search(r"^RESULT (.*)$", printed, re.MULTILINE)
    if line is None:
        raise RuntimeError(f"the load generator printed no totals:\n{printed}")
    return {key: int(value) for key, value in (word.split("=") for word in line.group(1).split())}


def h2load(shape, port, seconds, cores, directory):
    """HTTP/2: over TLS by ALPN, without TLS by prior knowledge."""
    log, body = fresh(directory / f"h2load-{port}.log"), directory / f"h2load-{port}.body"

    def read(printed):
        if "Application protocol: h2" not in printed:
            raise RuntimeError(f"h2load was not answered in HTTP/2:\n{printed}")
        seen = from_request_log(log, seconds)
        require_bodies(printed, seen.requests)
        return seen

    command = [
        "h2load", "-t", "1", "-c", str(shape.connections), "-m", str(shape.streams), "-D", str(seconds),
        f"--log-file={log}",
    ]
    if shape.grpc:
        body.write_bytes(grpc_message(shape.body_bytes))
        command += ["-d", str(body), "-H", "content-type: application/grpc", "-H", "te: trailers"]
    return Generator([*command, f"{shape.scheme}://127.0.0.1:{port}{shape.path}"], read, cores, seconds)


def require_bodies(printed, answers):
    """A gRPC error is a 200 without a message, and quickly made: the answers must have had their bodies."""
    received = re.search(r"^traffic:.*\((\d+)\) data$", printed, re.MULTILINE)
    if received is None or int(received.group(1)) < 0.95 * answers * SMALLEST_BODY:
        raise RuntimeError(f"h2load saw {answers} answers without their bodies:\n{printed}")


def grpc_message(length):
    """A message as gRPC frames it: not compressed, its length in four bytes, its bytes."""
    return b"\0" + length.to_bytes(4, "big") + b"x" * length


def at_rate(shape, port, seconds, workers, per_second):
    """Requests that come at random times, so many a second, whether or not those before were answered."""
    def read(printed):
        total = totals(printed)
        return seen_in(total, late_ms=total["late"] / 1e3)

    program = programs.compiled(ARRIVALS, "-lm")
    command = [program, str(port), shape.path, str(shape.connections), str(seconds), f"{per_second:.3f}"]
    return Generator(command, read, machine.load_cores(workers), seconds)


def fresh(log):
    """The path of a file that h2load is to begin: it appends to one that is there."""
    log.unlink(missing_ok=True)
    return log


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
        seconds=seconds,
        p50_ms=percentile(durations, 50) / 1e3,
        p99_ms=percentile(durations, 99) / 1e3,
        errors=errors,
    )


def percentile(ordered, percent):
    """Nearest rank."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
