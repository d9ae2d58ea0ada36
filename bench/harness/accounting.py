"""What a process and its children have used, from the kernel's own books."""

import time
from pathlib import Path


def family(pid):
    """The process and all its descendants: nginx forks a worker, and the worker is what works."""
    members = [pid]
    for member in members:
        members += [child for child, parent in parents() if parent == member]
    return members


def parents():
    """(process, its parent) of every process."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            after_name = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        yield int(entry.name), int(after_name[1])


def cpu_seconds(pids):
    """CPU time of the processes with all their threads, those that ended included, in nanosecond steps.

    The clock id of another process's CPU clock is made as clock_getcpuclockid(3) makes it: it reads the
    same `sum_exec_runtime` as /proc/PID/schedstat, which knows one thread only.
    """
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def memory_kib(pids):
    """(resident, proportional) KiB: `proportional` counts a page shared by master and worker once."""
    resident = proportional = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                resident += int(line.split()[1])
            elif line.startswith("Pss:"):
                proportional += int(line.split()[1])
    return resident, proportional
