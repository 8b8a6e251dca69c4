"""The command ``gradprox``, and ``python -m gradprox``."""

import sys

from gradprox.dependencies import dependencies


def main() -> None:
    """Run the command line. A missing package ends it with one line."""
    try:
        with dependencies():
            from gradprox.cli.app import main as run

            run()
    except ModuleNotFoundError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
