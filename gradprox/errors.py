"""The one error for input that cannot be used."""


class InputError(ValueError):
    """What the caller gave cannot be used; the message is one line that says why and what to do.

    The command line prints it and exits with 1.
    """
