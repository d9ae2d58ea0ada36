"""What was measured, kept as JSON: a run replaces the scenarios it measured and leaves the others."""

import json
import statistics
from pathlib import Path


class Store:
    def __init__(self, directory):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.path = self.directory / "results.json"
        self.scenarios = json.loads(self.path.read_text()) if self.path.exists() else {}

    def put(self, scenario, samples, provenance):
        self.scenarios[scenario.name] = {"samples": samples, "provenance": provenance}
        self.path.write_text(json.dumps(self.scenarios, indent=1) + "\n")

    def samples(self, name):
        return self.scenarios[name]["samples"]

    def provenance(self, name):
        return self.scenarios[name]["provenance"]


def median(samples, key):
    return statistics.median(sample[key] for sample in samples)


def spread(samples, key):
    """Half the distance from the lowest to the highest sample, as a share of the median."""
    values = [sample[key] for sample in samples]
    middle = statistics.median(values)
    return (max(values) - min(values)) / 2 / middle if middle else 0.0


def ratio(samples, others, key):
    """The median of the rounds' own ratios: what slows a whole round down cancels out."""
    pairs = [(one[key], other[key]) for one, other in zip(samples, others) if other[key]]
    return statistics.median(one / other for one, other in pairs) if pairs else None
