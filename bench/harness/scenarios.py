"""The scenarios and what ropeway must reach in each."""

import sys
from dataclasses import dataclass, field

from .load import Shape

CPU = "cpu_us"
P99 = "p99_ms"
IDLE = "kib_per_connection"
"""What a scenario is judged by: CPU microseconds of the proxy per request, the 99th percentile of the
latency in milliseconds, or KiB of the proxy's memory per idle connection."""


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    judged_by: str = CPU
    shape: Shape = Shape()
    workers: int = 1
    access_log: bool = False
    half_load: bool = False
    idle_connections: int = 0
    targets: dict = field(default_factory=dict)
    """Engine name to the highest ratio ropeway / engine that is good enough."""
    ceiling: float | None = None
    """The highest value of `judged_by` that is good enough, whatever the others reach."""

    @property
    def max_connections(self):
        """Room that every engine gets: twice what is needed, so that no cap is near."""
        return max(4096, 2 * self.idle_connections)


ALL = [
    Scenario("keepalive-64", "64 keep-alive connections, 128-byte responses",
             targets={"nginx": 0.80, "haproxy": 0.75}),
    Scenario("keepalive-512", "512 keep-alive connections, 128-byte responses",
             shape=Shape(connections=512), targets={"nginx": 0.65, "haproxy": 0.65}),
    Scenario("access-log", "64 keep-alive connections; ropeway writes a JSON access log, the others none",
             access_log=True, targets={"nginx": 0.85, "haproxy": 0.80}),
    Scenario("new-connection", "a new client connection for every request",
             shape=Shape(close=True), targets={"nginx": 0.90, "haproxy": 0.85}),
    Scenario("large-response", "1 MiB responses, 32 connections",
             shape=Shape(path="/large", connections=32), targets={"nginx": 1.0, "haproxy": 1.0}),
    Scenario("half-load", "latency at half of the slowest engine's highest rate, 64 connections",
             judged_by=P99, half_load=True, targets={"nginx": 1.0, "haproxy": 1.0}),
    Scenario("post-64k", "POST of 64 KiB, 64 connections",
             shape=Shape(path="/sink", method="POST", body_bytes=64 << 10)),
    Scenario("chunked", "8 KiB responses in chunks, 64 connections", shape=Shape(path="/chunked")),
    Scenario("idle-10000", "10,000 idle keep-alive connections, each used once",
             judged_by=IDLE, idle_connections=10_000, ceiling=1.5),
    Scenario("two-workers", "two workers, 128 keep-alive connections", shape=Shape(connections=128), workers=2),
]


def named(name):
    for scenario in ALL:
        if scenario.name == name:
            return scenario
    sys.exit(f"no scenario is called {name!r}: there are {', '.join(s.name for s in ALL)}")
