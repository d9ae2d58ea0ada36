"""Programs of our own in C, compiled once per run."""

import functools
import subprocess
from pathlib import Path

BUILT = Path(__file__).resolve().parents[2] / "target" / "bench"


@functools.cache
def compiled(source, *libraries):
    """The path of the program that `source` makes."""
    BUILT.mkdir(parents=True, exist_ok=True)
    binary = BUILT / source.stem
    subprocess.run(["cc", "-O2", "-Wall", "-o", binary, source, *libraries], check=True)
    return str(binary)
