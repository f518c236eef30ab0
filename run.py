"""`python run.py` is `cypher serve`."""

import sys

try:
    from cypher.cli import main
except ModuleNotFoundError as exc:
    sys.exit(f"cypher: {exc.name} is not installed: run `make run`, which sets everything up.")
except KeyboardInterrupt:
    sys.exit(130)
sys.argv[1:1] = ["serve"]
main()
