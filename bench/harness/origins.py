"""The two servers behind every engine.

`origin.c` where there is nothing to do but to answer, nghttpd where that is asked in gRPC, and nginx for everything else.
"""

import contextlib
import os
from pathlib import Path

from . import machine, process, programs

SOURCE = Path(__file__).with_name("origin.c")

SMALL = 128
LARGE = 1 << 20
CHUNKED = 8 << 10
"""Body sizes in bytes of `/`, `/large` and `/chunked`."""

CONFIG = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 60000;
pid {directory}/origin-{port}.pid;
error_log {directory}/origin-{port}.log crit;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    sendfile on;
    tcp_nodelay on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_temp_path {directory}/origin-{port}-body;
    proxy_temp_path {directory}/origin-{port}-proxy;
    fastcgi_temp_path {directory}/origin-{port}-fastcgi;
    uwsgi_temp_path {directory}/origin-{port}-uwsgi;
    scgi_temp_path {directory}/origin-{port}-scgi;
    open_file_cache max=16;
    default_type text/plain;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {directory}/content;
        location = /sink {{ return 200 "stored"; }}
        location = /large {{ }}
        # A filter that may change the length makes nginx send the body in chunks.
        location = /chunked {{ sub_filter_types *; sub_filter "never in the file" ""; }}
    }}
}}
"""


GRPC_PATH = "/bench.Echo/Unary.grpc"
"""A file with the answer of the one method there is; nghttpd takes the content type from how its name ends."""


@contextlib.contextmanager
def running(directory, workers, shape):
    """Starts both origins and yields their ports."""
    write_content(directory / "content")
    start = start_grpc if shape.grpc else start_small if shape.path == "/" else start_http
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(start(directory, workers)).port for _ in range(2)]


def start_small(directory, workers):
    port = process.free_port()
    command = [programs.compiled(SOURCE), str(port), str(SMALL)]
    return process.Daemon(f"origin-{port}", command, machine.load_cores(workers), port, directory)


def start_http(directory, workers):
    port = process.free_port()
    config = directory / f"origin-{port}.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(CONFIG.format(directory=directory, port=port, user=user))
    command = ["nginx", "-c", str(config), "-e", str(directory / f"origin-{port}.log")]
    return process.Daemon(f"origin-{port}", command, machine.load_cores(workers), port, directory)


def start_grpc(directory, workers):
    """HTTP/2 with prior knowledge; every answer is one message and the trailer that says OK."""
    port = process.free_port()
    types = directory / "mime.types"
    types.write_text("application/grpc grpc\n")
    command = [
        "nghttpd", "--no-tls", "--address=127.0.0.1", "--workers=1", "--max-concurrent-streams=1024",
        f"--htdocs={directory / 'content'}", f"--mime-types-file={types}", "--trailer=grpc-status: 0",
        "--no-content-length", str(port),
    ]
    return process.Daemon(f"origin-{port}", command, machine.load_cores(workers), port, directory)


def write_content(directory):
    directory.mkdir()
    answer = directory / GRPC_PATH.lstrip("/")
    answer.parent.mkdir()
    answer.write_bytes(b"\0" + SMALL.to_bytes(4, "big") + b"x" * SMALL)
    (directory / "large").write_bytes(b"x" * LARGE)
    (directory / "chunked").write_bytes(b"x" * CHUNKED)
