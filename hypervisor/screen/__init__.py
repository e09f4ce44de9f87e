"""What a guest's screen shows: from the registers and the memory of its VGA to text, pixels and PNG.

Knows nothing of a running guest: a `VgaSnapshot` may as well have come through a control socket.
"""
