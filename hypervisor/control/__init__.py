"""Running guests seen from outside: a socket for each, and what can be asked through it.

`directory` knows where the sockets are and which names are taken, `server` answers for one guest, `answers`
says what, and `client` asks. A request and its answer are one line of JSON each, with the version of both.
"""

VERSION = 1
