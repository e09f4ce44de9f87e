"""What is typed to the sample kernel ``unix``, for its transcripts."""

from __future__ import annotations

from tests.samples.conversation import Step, lines

_PROMPT = r"(?:\A|\n)\$ "

# Programs, the shell's language, mistakes; then processes, whose numbers are the same each time.
_SHELL = r"""
ls -l
cat readme | grep bin
ls -l /bin | wc >/tmp/count; rm /tmp/count
echo one two   three | wc
echo 'quoted  words' "and; | more"# not a comment >/tmp/a # one
cat /tmp/a
cat </tmp/a >>/tmp/b && cat /tmp/b /tmp/a | wc
missing || echo not there
status
cat /no/such/file && echo never
ls | | wc
echo >
cd /tmp && pwd && ls
cd nowhere
cp /readme copy && mv copy moved && hexdump moved | grep 000
ln moved again; ls -l
rm a b moved again; rm again
mkdir one one/two; cd one/two; pwd; rm ../../one; cd; rm /tmp/one/two /tmp/one
sh /demo
ps
sleep 60000 &
sleep 60000 | cat &
sleep 200
ps
"""
_EDITED = (
    Step("ehco\b\b\bcho nonsense\x15echo corrected\r", _PROMPT),
    Step("wc\r", _PROMPT),
    Step("two lines,\r", r"wc\r\n"),
    Step("five words\r", r",\r\n"),
    Step("\x04", r"words\r\n"),
    Step("cat\r", _PROMPT),
    Step("said twice\r", r"cat\r\n"),
    Step("\x03", r"twice\r\n(?s:.*)twice\r\n"),
    Step("echo forgotten\x03", _PROMPT),
)

UNIX = (
    *lines(_SHELL.strip(), _PROMPT),
    *_EDITED,
    *lines("tests\nls -l /tmp\nhalt", _PROMPT),
)
UNIX_KEYBOARD = (
    *lines('echo Typed: "1 + 2 = 3!" | wc\nls  -l /dve\b\bev | grep \'con\'', _PROMPT),
    Step("cat\r", _PROMPT),
    Step("Twice\r", r"cat\r\n"),
    Step("\x03", r"Twice\r\n(?s:.*)Twice\r\n"),
    *lines("halt", _PROMPT),
)
