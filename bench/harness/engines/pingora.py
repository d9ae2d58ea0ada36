"""Pingora, for the record: a proxy of our own made with the library, built when it is asked for."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from .engine import Engine, Unavailable

PROGRAM = Path(__file__).with_name("pingora")
NEEDED = {"cargo": "https://rustup.rs", "cc": "Debian: apt install gcc", "cmake": "Debian: apt install cmake"}
"""Programs that the build calls, and where to get them; the last two for zlib, which the library brings."""


class Pingora(Engine):
    name = "pingora"

    @classmethod
    def built_into(cls, directory):
        """The engine; `Unavailable` when it cannot be built here."""
        missing = [f"{tool} ({source})" for tool, source in NEEDED.items() if not shutil.which(tool)]
        if missing:
            raise Unavailable(f"building it needs {', '.join(missing)}")
        print(f"building pingora into {directory}: a few minutes the first time", file=sys.stderr)
        built = subprocess.run(["cargo", "build", "--quiet", "--release", "--locked", "--target-dir", directory],
                               cwd=PROGRAM, check=False)
        if built.returncode != 0:
            raise Unavailable("it does not build here, see above")
        return cls(str(directory / "release" / "pingora-engine"))

    def takes_part(self, scenario):
        """What our program does with the library: HTTP/1.1 without TLS."""
        return not (scenario.shape.tls or scenario.shape.streams)

    def version(self):
        locked = tomllib.loads((PROGRAM / "Cargo.lock").read_text())["package"]
        return next(package["version"] for package in locked if package["name"] == "pingora-proxy")

    def command(self, setup):
        fields = "forwarding" if setup.forwarding_fields else "plain"
        return [self.binary, str(setup.port), str(setup.workers), fields, *(str(port) for port in setup.origins)]
