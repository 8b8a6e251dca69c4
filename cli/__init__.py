"""The ``gradprox`` command: one file per subcommand."""
