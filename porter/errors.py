"""The one exception that the porter raises for bad input."""


class PortError(Exception):
    """Input that cannot be ported. ``str()`` is one line that names the thing and the remedy."""
