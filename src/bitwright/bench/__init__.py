"""The suites of `bw bench --suite`: layers, networks and sparse networks, timed in turn with others on one machine."""
