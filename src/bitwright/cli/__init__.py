"""The command line `bw`, one command a file."""
