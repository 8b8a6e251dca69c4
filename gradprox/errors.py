"""The error for input that cannot be used."""


class InputError(ValueError):
    """An argument or a file cannot be used. The message is one line: the reason, and how to correct the input.

    The command line prints the message and exits with 1.
    """
