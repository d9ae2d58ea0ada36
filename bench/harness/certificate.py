"""The certificate that every engine shows: ECDSA P-256, signed by itself, made anew for each scenario."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True)
class Certificate:
    chain: Path
    key: Path
    both: Path
    """Chain and key in one file, as HAProxy wants them."""


def made_in(directory):
    made = Certificate(directory / "certificate.pem", directory / "key.pem", directory / "both.pem")
    subprocess.run([
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
        "-subj", "/CN=localhost", "-addext", NAMES, "-keyout", made.key, "-out", made.chain,
    ], check=True, capture_output=True)
    made.both.write_text(made.chain.read_text() + made.key.read_text())
    return made
