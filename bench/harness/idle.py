"""Idle keep-alive connections: opened, used once, then left alone.

Runs as a program of its own, because the descriptors of client and proxy do not fit into one process:
prints `ready` when all connections are idle; for every line on its input, how many are still open; ends
with its input.
"""

import argparse
import select
import selectors
import socket
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
    options = parser.parse_args()
    process.raise_descriptor_limit()
    connections = open_all(options.port, options.count)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(still_open(connections), flush=True)


def open_all(port, count):
    """Opens `count` connections and gives each one request."""
    idle, waiting = [], selectors.EpollSelector()
    started = 0
    while len(idle) < count:
        while started < count and len(waiting.get_map()) < IN_FLIGHT:
            waiting.register(connect(port, started), selectors.EVENT_READ, bytearray())
            started += 1
        ready = waiting.select(PATIENCE_SECONDS)
        if not ready:
            sys.exit(f"no answer within {PATIENCE_SECONDS} s with {len(idle)} connections idle")
        for key, _ in ready:
            if answer_is_complete(key.fileobj, key.data):
                waiting.unregister(key.fileobj)
                idle.append(key.fileobj)
    return idle


def connect(port, number):
    client = socket.socket()
    client.bind((f"127.0.0.{2 + number % SOURCES}", 0))
    client.connect(("127.0.0.1", port))
    client.sendall(REQUEST)
    return client


def answer_is_complete(client, received):
    data = client.recv(4096)
    if not data:
        sys.exit("the proxy closed a connection before it had answered")
    received += data
    head, separator, body = bytes(received).partition(b"\r\n\r\n")
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
