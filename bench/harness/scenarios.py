"""The scenarios and what ropeway must reach in each."""

import sys
from dataclasses import dataclass, field

from .load import Shape
from .origins import GRPC_PATH

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
    def tools(self):
        """The programs that must be there, engines aside."""
        shape = self.shape
        tools = ["h2load" if shape.streams else "wrk"]
        tools += ["nghttpd"] if shape.grpc else ["cc"] if shape.path == "/" else ["nginx"]
        tools += ["cc"] if self.half_load else []
        tools += ["openssl"] if shape.tls else []
        return tools + (["cc"] if shape.tls and shape.close else [])

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
    Scenario("tls-keepalive-64", "TLS 1.3, 64 keep-alive connections, 128-byte responses",
             shape=Shape(tls=True), targets={"nginx": 0.78, "haproxy": 0.78}),
    Scenario("tls-handshake", "a new TLS 1.3 connection for every request, ECDSA P-256, never resumed",
             shape=Shape(tls=True, close=True), targets={"nginx": 0.60, "haproxy": 0.60}),
    Scenario("tls-resumed", "a new TLS 1.3 connection for every request, each resumed by a ticket",
             shape=Shape(tls=True, close=True, resume=True), targets={"nginx": 0.80, "haproxy": 0.80}),
    Scenario("h2-16x16", "HTTP/2 over TLS to HTTP/1.1 origins, 16 connections of 16 streams",
             shape=Shape(tls=True, connections=16, streams=16), targets={"nginx": 0.72, "haproxy": 0.72}),
    Scenario("h2-64x1", "HTTP/2 over TLS to HTTP/1.1 origins, 64 connections of one stream",
             shape=Shape(tls=True, streams=1), targets={"nginx": 0.95, "haproxy": 0.95}),
    Scenario("grpc-unary", "unary gRPC calls of 128 bytes, HTTP/2 on both sides, 16 connections of 16 streams",
             shape=Shape(GRPC_PATH, method="POST", body_bytes=128, connections=16, streams=16, grpc=True),
             targets={"envoy": 0.50, "haproxy": 0.50}),
    Scenario("idle-tls-10000", "10,000 idle TLS 1.3 connections, each used once",
             shape=Shape(tls=True), judged_by=IDLE, idle_connections=10_000, ceiling=12.0),
]


def named(name):
    for scenario in ALL:
        if scenario.name == name:
            return scenario
    sys.exit(f"no scenario is called {name!r}: there are {', '.join(s.name for s in ALL)}")
