"""The machine: which cores play which part, what it is, and which tools it has."""

import os
import re
import shutil
import subprocess
import sys


PACKAGES = "nginx haproxy wrk nghttp2-client nghttp2-server openssl gcc libssl-dev"


def require(tools):
    missing = sorted({tool for tool in tools if shutil.which(tool) is None})
    if missing:
        sys.exit(f"missing: {', '.join(missing)} (Debian: apt install {PACKAGES})")


def proxy_cores(workers):
    """The first cores belong to the proxy."""
    return sorted(os.sched_getaffinity(0))[:workers]


def load_cores(workers):
    """The load generator and the origins get the others, or share when there are none left."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[workers:] or cores


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "unknown"


def cpu_times():
    """All of the machine's CPU time since it started, and what of it the host of a virtual machine took, in ticks."""
    with open("/proc/stat", encoding="ascii") as lines:
        user, nice, system, idle, waiting, irq, softirq, stolen = map(int, lines.readline().split()[1:9])
    return user + nice + system + idle + waiting + irq + softirq + stolen, stolen


def stolen_percent(since):
    """The share of the time since then, as `cpu_times` told it, that the host took."""
    total, stolen = (now - before for now, before in zip(cpu_times(), since))
    return 100 * stolen / max(total, 1)


def tool_versions():
    return {"wrk": first_match(["wrk", "-v"], r"wrk (\S+)"), "h2load": first_match(["h2load", "--version"], r"(\S+)$")}


def first_match(command, pattern):
    """The version in a tool's own words; wrk and nginx print theirs to standard error, wrk with status 1."""
    printed = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    found = re.search(pattern, (printed.stdout + printed.stderr).strip().splitlines()[0])
    return found.group(1) if found else "unknown"
