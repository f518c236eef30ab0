"""The client of our own, for whoever writes jobs to its standard input."""

from bench.load.client import main

main()
