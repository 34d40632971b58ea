"""Failures that the user can act on."""


class ZeroToOneError(Exception):
    """A failure that the user can act on; its text is one line that names the file and the place."""


class UsageError(ZeroToOneError):
    """A wrong argument on the command line (exit status 2)."""
