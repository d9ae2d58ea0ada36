"""What every engine is asked to do."""

from dataclasses import dataclass, field
from pathlib import Path

from .. import machine, process
from ..certificate import Certificate


@dataclass(frozen=True)
class Setup:
    """One scenario's demands: every engine fulfils them in its own configuration language."""

    directory: Path
    origins: list
    workers: int = 1
    max_connections: int = 4096
    """Client connections that must fit at once."""
    access_log: bool = False
    """Ropeway only: it writes a JSON access log, the others stay without one."""
    forwarding_fields: bool = True
    """Host is kept, and X-Forwarded-For, X-Forwarded-Proto and X-Real-IP are added."""
    certificate: Certificate | None = None
    """Clients come with TLS, and may choose HTTP/2 by ALPN; without it they come without TLS."""
    grpc: bool = False
    """gRPC: clients and origins speak HTTP/2 without TLS, by prior knowledge."""
    port: int = field(default_factory=process.free_port)
    admin_port: int = field(default_factory=process.free_port)

    @property
    def scheme(self):
        return "https" if self.certificate else "http"


class Unavailable(Exception):
    """An engine cannot be had on this machine; the text says what is missing."""


class Engine:
    """A program that can be configured, started and asked for its version."""

    name = ""
    version_pattern = r"(\d+\.\d+\.\d+\S*)"

    def __init__(self, binary):
        self.binary = binary

    def takes_part(self, scenario):
        """Whether it can do the work of `scenario`."""
        return True

    def version(self):
        return machine.first_match([self.binary, *self.version_flag()], self.version_pattern)

    def version_flag(self):
        return ["--version"]

    def command(self, setup):
        """Writes the configuration for `setup` and returns the command line that uses it."""
        raise NotImplementedError

    def start(self, setup):
        """A daemon, not yet known to be ready: enter it as a context."""
        cores = machine.proxy_cores(setup.workers)
        return process.Daemon(self.name, self.command(setup), cores, setup.port, setup.directory)
