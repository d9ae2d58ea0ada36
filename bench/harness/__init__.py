"""The parts of `bench/run`, one concern each."""
