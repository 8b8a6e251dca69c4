"""``python -m gradprox``: the same as ``gradprox``."""

from gradprox.cli.app import main

main()
