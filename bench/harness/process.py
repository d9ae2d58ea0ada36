"""Child processes that are pinned, ready before use, and stopped by their id."""

import os
import resource
import socket
import subprocess
import time

DESCRIPTORS = 65536
START_SECONDS = 20
STOP_SECONDS = 5


def free_port():
    """A TCP port that the kernel just had to spare."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Daemon:
    """A server process: use it as a context, so that it never outlives the measurement."""

    def __init__(self, name, command, cores, port, directory):
        self.name = name
        self.port = port
        self.log = directory / f"{name}.out"
        with open(self.log, "wb") as output:
            self.popen = subprocess.Popen(
                command, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                preexec_fn=lambda: prepare_child(cores),
            )

    @property
    def pid(self):
        return self.popen.pid

    def __enter__(self):
        try:
            self.wait_until_it_accepts()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_until_it_accepts(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.popen.poll() is not None:
                raise RuntimeError(f"{self.name} ended with status {self.popen.returncode}:\n{self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"{self.name} does not accept on port {self.port}:\n{self.last_words()}")

    def last_words(self):
        return self.log.read_text(errors="replace")[-2000:]

    def stop(self):
        self.popen.terminate()
        try:
            self.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


def prepare_child(cores):
    os.sched_setaffinity(0, cores)
    raise_descriptor_limit()


def raise_descriptor_limit():
    """As many descriptors as the heaviest scenario wants, or as many as we may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, max(hard, DESCRIPTORS)))
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
