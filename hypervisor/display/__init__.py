"""A guest's screen on a terminal, and the terminal's keys and mouse as the guest's.

`keys` understands what terminals send, `frame` makes cells of a `VgaSnapshot`, `painter` draws those that
have changed, and `console` puts it together as the console of a domain.
"""
