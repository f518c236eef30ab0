"""`python -m bench --help` says what can be asked for."""

from bench.cli import main

main()
