"""``python -m gradprox.cli``: the same as ``gradprox``."""

from gradprox.cli.app import main

main()
