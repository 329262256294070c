"""The suites of `bw bench --suite`: layers and networks, timed in turn with other libraries on the same machine."""
