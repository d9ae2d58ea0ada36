"""The kernel's floor: a relay in C that understands nothing, to show what is left for a proxy to lose."""

import shutil
from pathlib import Path

from .. import programs
from .engine import Engine

SOURCE = Path(__file__).with_name("relay.c")


class Floor(Engine):
    name = "floor"

    @classmethod
    def compiled(cls):
        """The engine, or None without a C compiler."""
        return cls(programs.compiled(SOURCE)) if shutil.which("cc") else None

    def takes_part(self, scenario):
        """Small requests and responses on connections that stay; it has no answer to anything else."""
        shape = scenario.shape
        plain = shape.path == "/" and not (shape.close or shape.tls or shape.streams)
        return plain and not scenario.idle_connections and scenario.workers == 1

    def version(self):
        return "relay.c"

    def command(self, setup):
        return [self.binary, str(setup.port), *(str(port) for port in setup.origins)]
