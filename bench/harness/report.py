"""RESULTS.md: targets first, losses as plain as wins, then everything else that was measured."""

from . import results, scenarios

INTRODUCTION = """# Measurements

Written by `bench/run`; the numbers behind every line are in `results.json`. What is measured and how:
`README.md`. CPU is the proxy process's own, user and system, per completed request. Medians of
rounds; ± is half the distance between the lowest and the highest round. A ratio is the median of the
rounds' own ratios; below 1 ropeway needs less. "Floor" is the same ratio for a relay in C that understands nothing
of what it passes on: a proxy on this kernel cannot get below it by doing less itself
(`docs/adr/0014-the-floor-is-measured-too.md`).
"""

COLUMNS = [
    ("cpu_us", "CPU µs/request", "{:.2f}", True),
    ("kib_per_connection", "KiB/connection", "{:.2f}", True),
    ("per_second", "requests/s", "{:.0f}", True),
    ("p50_ms", "p50 ms", "{:.3f}", False),
    ("p99_ms", "p99 ms", "{:.3f}", True),
    ("late_ms", "p99 of the generator's delay ms", "{:.3f}", False),
    ("busy", "cores busy", "{:.2f}", False),
    ("resumed_percent", "resumed %", "{:.1f}", False),
    ("memory_mib", "memory MiB", "{:.1f}", False),
    ("errors", "errors", "{:.0f}", False),
    ("stolen_percent", "host took %", "{:.1f}", False),
]
"""Key, heading, format, and whether its spread is worth showing."""

UNITS = {scenarios.CPU: "CPU", scenarios.P99: "p99", scenarios.IDLE: "KiB each"}


def write(store):
    known = [scenario for scenario in scenarios.ALL if scenario.name in store.scenarios]
    parts = [INTRODUCTION, targets_table(store, known)]
    parts += [details(store, scenario) for scenario in known]
    (store.directory / "RESULTS.md").write_text("\n".join(parts))


def summary(store, names):
    """The targets of the scenarios just measured, for the terminal."""
    return targets_table(store, [scenarios.named(name) for name in names])


def targets_table(store, known):
    lines = ["## Against the targets", "",
             "| scenario | judged by | against | target | measured | | floor |", "|---|---|---|---|---|---|---|"]
    for scenario in known:
        samples = store.samples(scenario.name)
        lines += [row(scenario, *cells) for cells in judgements(scenario, samples)]
    return "\n".join(lines) + "\n"


def row(scenario, against, target, measured, floor):
    wanted = "-" if target is None else f"≤ {target:.2f}"
    shown = "not measured" if measured is None else f"{measured:.2f}"
    least = "" if floor is None else f"{floor:.2f}"
    kind = UNITS[scenario.judged_by]
    return f"| {scenario.name} | {kind} | {against} | {wanted} | {shown} | {verdict(target, measured)} | {least} |"


def verdict(target, measured):
    if target is None or measured is None:
        return ""
    return "met" if measured <= target else "**missed**"


def judgements(scenario, samples):
    """(against whom, target, measured, the same for the floor) of a scenario."""
    own, floor = samples.get("ropeway"), samples.get("floor")
    if scenario.ceiling is not None:
        yield "a fixed ceiling", scenario.ceiling, results.median(own, scenario.judged_by) if own else None, None
    for other in ["nginx", "haproxy", "envoy", "pingora"]:
        target = scenario.targets.get(other)
        if other not in samples and target is None:
            continue
        of = samples.get(other)
        yield other, target, *(rows and of and results.ratio(rows, of, scenario.judged_by) for rows in [own, floor])


def details(store, scenario):
    samples, how = store.samples(scenario.name), store.provenance(scenario.name)
    present = [column for column in COLUMNS if all(column[0] in sample for rows in samples.values() for sample in rows)]
    lines = [f"## {scenario.name}", "", f"{scenario.title[0].upper()}{scenario.title[1:]}.", "",
             "| engine | " + " | ".join(heading for _, heading, _, _ in present) + " |",
             "|---" * (len(present) + 1) + "|"]
    for engine, rows in samples.items():
        lines.append(f"| {engine} | " + " | ".join(cell(rows, *column) for column in present) + " |")
    versions = ", ".join(f"{name} {version}" for name, version in how["versions"].items())
    lines += ["", f"`{how['command']}`, {how['date']}: {how['rounds']} rounds of {how['seconds']} s; {how['cpu']}, "
              f"{how['cores']} cores, Linux {how['kernel']}, load average before {how['load_average_before']}; "
              f"{versions}.", ""]
    return "\n".join(lines)


def cell(rows, key, _, pattern, with_spread):
    text = pattern.format(results.median(rows, key))
    return f"{text} ±{results.spread(rows, key):.0%}" if with_spread else text
