"""What is typed to the sample kernels, for each of their transcripts."""

from __future__ import annotations

from dataclasses import dataclass

from tests.samples import unix_session
from tests.samples.conversation import Step, lines

_PROMPT = r"(?:\A|\n)[>:] "  # a colon: a definition goes on

# Language, compiler, mistakes, and the devices. What is printed does not depend on how long anything takes.
_LANGUAGE = r"""
1 2 + .
7 2 /MOD . . -7 2 /MOD . . -1 1 RSHIFT .
HEX FF . DECIMAL $FF . -1 U. 2 BASE ! 10 . DECIMAL
1 2 3 .S ROT .S SWAP DROP .S 2DROP .S
: SQUARE ( n -- n*n ) DUP * ;  7 SQUARE .
: FACTORIAL DUP 1 > IF DUP 1- RECURSE * ELSE DROP 1 THEN ;  10 FACTORIAL .
: COUNTDOWN BEGIN DUP WHILE DUP . 1- REPEAT DROP ;  5 COUNTDOWN
: TABLE
5 1 DO CR 5 1 DO
I J * . LOOP LOOP ;
TABLE
: UP 10 0 DO I . 3 +LOOP ;  : DOWN 0 10 DO I . -3 +LOOP ;  UP DOWN
: NONE 0 0 ?DO I . LOOP ." none" ;  NONE
: FIRST-ABOVE 100 0 DO I SQUARE OVER > IF I . LEAVE THEN LOOP DROP ;  50 FIRST-ABOVE
: GREET S" hello" TYPE SPACE ." world" ;  GREET
VARIABLE X  5 X !  3 X +! X @ .   10 CONSTANT TEN  TEN TEN * .
: ARRAY CREATE CELLS ALLOT DOES> SWAP CELLS + ;  3 ARRAY A  7 0 A !  8 1 A !  9 2 A !  1 A @ .
: UNLESS POSTPONE 0= POSTPONE IF ; IMMEDIATE  : SIGN 0< UNLESS ." plus" ELSE ." minus" THEN ;  3 SIGN -3 SIGN
12 ' SQUARE EXECUTE . CHAR A EMIT
PAD 8 65 FILL PAD PAD 1+ 4 MOVE PAD 8 TYPE PAD 3 DUMP
: STRIKE ( i -- ) DUP 2* BEGIN DUP 100 < WHILE 0 OVER PAD + C! OVER + REPEAT 2DROP ;
: SIEVE PAD 100 1 FILL 100 2 DO PAD I + C@ IF I . I STRIKE THEN LOOP ;  SIEVE
\ mistakes, each of which ends what was under way
UNKNOWN
DROP
1 0 /
: DEEP RECURSE ;
DEEP
: HALF IF ;
HALF
IF
: INNER [ : OUTER
: OPEN BEGIN
DROP ;
0 BASE !
: ZERO 0 BASE ! 7 . ;  ZERO
80 0 AT
: FOREVER ." running" BEGIN AGAIN ;
FOREVER
"""
# The screen, read back from its memory; the timer; a port; and what WORDS lists after all this.
_MACHINE = r"""
: SEEN ( column row count -- ) ROT ROT 80 * + 2* $B8000 + SWAP 0 DO DUP I 2* + C@ EMIT LOOP DROP ;
$1E COLOURS PAGE 30 12 AT ." in the middle"
30 12 13 SEEN  30 12 80 * + 2* $B8001 + C@ .
: SCROLL 30 0 DO CR ." line " I . LOOP ;  SCROLL
0 10 8 SEEN
TICKS 50 MS TICKS SWAP - 4 > .
HEX 21 PC@ . DECIMAL
WORDS
BYE
"""

_FORTH = (
    *lines(_LANGUAGE.lstrip("\n"), _PROMPT),
    Step("\x03", "running"),
    *lines(_MACHINE.lstrip("\n"), _PROMPT),
)
_FORTH_KEYBOARD = (
    *lines('1 2 + .\n: SQUARE DUP * ;  99\b\b7 SQUARE .\n." Mixed Case!" $FF .', _PROMPT),
    *lines(': FOREVER ." running" BEGIN AGAIN ;  FOREVER', _PROMPT),
    Step("\x03", "running"),
    *lines("BYE", _PROMPT),
)


_MICRO = r"""
help
sing 5
sort
names
write 3 hello, disk
reaf\bd 3
read 99
break memory
break nowhere
break flag
break device
break number
break number
break everything
calls 1000
sleep 30
frobnicate
off
"""


@dataclass(frozen=True)
class Session:
    """What is typed to a sample, and whether on the keyboard (else to the first serial port)."""

    sample: str
    steps: tuple[Step, ...] = ()
    keyboard: bool = False


SESSIONS = {
    "hello": Session("hello"),
    "count": Session("count"),
    "preempt": Session("preempt"),
    "tasks": Session("tasks"),
    "micro": Session("micro", lines(_MICRO.strip().replace(r"\b", "\b"), r"\nmicro> ")),
    "forth": Session("forth", _FORTH),
    "forth-keyboard": Session("forth", _FORTH_KEYBOARD, keyboard=True),
    "unix": Session("unix", unix_session.UNIX),
    "unix-keyboard": Session("unix", unix_session.UNIX_KEYBOARD, keyboard=True),
}
"""By the name of the transcript."""
