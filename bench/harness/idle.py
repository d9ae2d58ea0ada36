"""Idle keep-alive connections: opened, used once, then left alone.

Runs as a program of its own, because the descriptors of client and proxy do not fit into one process:
prints `ready` when all connections are idle; for every line on its input, how many are still open; ends
with its input.
"""

import argparse
import contextlib
import select
import selectors
import socket
import ssl
import sys

from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.dont_write_bytecode = True

from harness import process  # noqa: E402

IN_FLIGHT = 64
"""Connections that wait for their answer at any one time: few, so that the proxy's buffers can be reused."""
SOURCES = 10
"""Client addresses, 127.0.0.2 and up: each has ports of its own, and none reaches a cap per client."""
PATIENCE_SECONDS = 10

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: idle\r\nAccept: */*\r\n\r\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    process.raise_descriptor_limit()
    connections = open_all(options.port, options.count, client_tls() if options.tls else None)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(still_open(connections), flush=True)


def client_tls():
    """TLS 1.3, with any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    return context


def open_all(port, count, tls):
    """Opens `count` connections and gives each one request."""
    idle, waiting = [], selectors.EpollSelector()
    started = 0
    while len(idle) < count:
        while started < count and len(waiting.get_map()) < IN_FLIGHT:
            visit = Visit(connect(port, started), tls)
            waiting.register(visit.client, selectors.EVENT_READ, visit)
            started += 1
        ready = waiting.select(PATIENCE_SECONDS)
        if not ready:
            sys.exit(f"no answer within {PATIENCE_SECONDS} s with {len(idle)} connections idle")
        for key, _ in ready:
            if key.data.is_over():
                waiting.unregister(key.fileobj)
                idle.append(key.fileobj)
    return idle


def connect(port, number):
    client = socket.socket()
    client.bind((f"127.0.0.{2 + number % SOURCES}", 0))
    client.connect(("127.0.0.1", port))
    return client


class Visit:
    """A connection before it is idle: with TLS its handshake, then one request and the answer."""

    def __init__(self, client, tls):
        client.setblocking(False)
        self.client = tls.wrap_socket(client, do_handshake_on_connect=False) if tls else client
        self.asked = False
        self.received = b""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.ask()

    def is_over(self):
        """Goes as far as it can without waiting; whether the answer is complete."""
        try:
            if not self.asked:
                self.ask()
            data = self.client.recv(4096)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        if not data:
            sys.exit("the proxy closed a connection before it had answered")
        self.received += data
        return is_complete(self.received)

    def ask(self):
        if isinstance(self.client, ssl.SSLSocket):
            self.client.do_handshake()
        self.client.sendall(REQUEST)
        self.asked = True


def is_complete(received):
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return False
    if not head.startswith(b"HTTP/1.1 200 "):
        sys.exit(f"unexpected answer: {head.splitlines()[0]!r}")
    return len(body) >= content_length(head)


def content_length(head):
    for line in head.splitlines():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    sys.exit("the answer has no Content-Length")


def still_open(connections):
    """An idle connection has nothing to read: what is readable was closed."""
    poll = select.epoll()
    for connection in connections:
        poll.register(connection.fileno(), select.EPOLLIN)
    closed = len(poll.poll(0, len(connections)))
    poll.close()
    return len(connections) - closed


if __name__ == "__main__":
    main()
