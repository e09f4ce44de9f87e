"""Errors that a user can mend."""


class RingError(Exception):
    """A refusal in one line: what is wrong, named, and the remedy. The command line exits with status 2."""
