"""The command `nrl-edge`: nothing is imported before Ctrl-C can be answered, as the rest takes a second or two."""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Entry point of the command."""
    try:
        from nrl_host.cli import main as run
    except KeyboardInterrupt:
        if "--json" in sys.argv:
            print(json.dumps({"error": "interrupted", "exit_code": 1}), flush=True)
        print("nrl-edge: interrupted", file=sys.stderr)
        sys.exit(1)
    run()


if __name__ == "__main__":
    main()
