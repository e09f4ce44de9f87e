"""A guest with a network card: its interrupt, its rings in guest RAM, and a peer on a socket."""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path
from typing import IO

from hypervisor.net.config import NetConfig
from tests.hypervisor.engine import guests

# Answers each frame that comes in with the same, addresses exchanged and `a` added to each byte of the rest, until one
# says it is the last. PIRQC#, to which slot 3's pin leads, is line 11, vector 0x73.
ECHO = """
	.set RING,0x200000
	.set DATA,0x210000
	.set TIMES,30
.macro card register:req, value:req
	movl \\value,%eax
	movl %eax,\\register(%ebx)
.endm
test:	gate 0x73, interrupt
	movb $0xfb,%al			# the slave's line only
	movw $0x21,%dx
	r3_out %al,%dx
	movb $0xf7,%al
	movw $0xa1,%dx
	r3_out %al,%dx
	movl $0x80001804,%eax		# 00:03.0, command: memory, bus master
	movw $0xcf8,%dx
	r3_out %eax,%dx
	movw $0xcfc,%dx
	movl $7,%eax
	r3_out %eax,%dx
	movl $0x80001810,%eax
	movw $0xcf8,%dx
	r3_out %eax,%dx
	movw $0xcfc,%dx
	r3_in %dx,%eax
	movl %eax,%ebx
	andl $-16,%ebx
	movl $DATA,%eax
	movl $RING,%edi
	movl $8,%ecx
1:	movl %eax,(%edi)
	movl $0,4(%edi)
	movl $0,8(%edi)
	movl $0,12(%edi)
	addl $2048,%eax
	addl $16,%edi
	loop 1b
	card 0x2800, $RING		# receive: 8 descriptors, 7 free
	card 0x2804, $0
	card 0x2808, $128
	card 0x2810, $0
	card 0x2818, $7
	card 0x3800, $RING+128		# send: 8 descriptors
	card 0x3804, $0
	card 0x3808, $128
	card 0x3810, $7
	card 0x3818, $7
	card 0x400, $2
	card 0x100, $0x04008002		# enable, broadcast, no checksum
	movl $DATA,RING+128+7*16	# a first frame says that all is ready
	movl $0,RING+128+7*16+4
	movl $0x0b00003c,RING+128+7*16+8
	card 0x3818, $0
	card 0xd0, $0x80
	xorl %esi,%esi			# frames so far
2:	r3_sti_hlt
	r3_cli
	jmp 3f
again:	call answer
3:	movl %esi,%eax
	andl $7,%eax
	shll $4,%eax
	testb $1,RING+12(%eax)
	jnz again
	cmpl $0,last
	je 2b
	say frames, %esi
	say interrupts, count
	finish

answer:	leal RING(%eax),%edi
	movl (%edi),%ebp		# the frame
	movzwl 8(%edi),%ecx
	movb $0,12(%edi)
	movl (%ebp),%eax		# addresses: exchange
	movl 6(%ebp),%edx
	movl %edx,(%ebp)
	movl %eax,6(%ebp)
	movw 4(%ebp),%ax
	movw 10(%ebp),%dx
	movw %dx,4(%ebp)
	movw %ax,10(%ebp)
	movzbl 14(%ebp),%eax
	movl %eax,last
	leal -14(%ecx),%edx
4:	addb $1,13(%ebp,%edx)
	decl %edx
	jnz 4b
	movl %esi,%eax
	andl $7,%eax
	shll $4,%eax
	leal RING+128(%eax),%edx
	movl %ebp,(%edx)
	movl $0,4(%edx)
	orl $0x0b000000,%ecx		# end, checksum, report
	movl %ecx,8(%edx)
	movl $0,12(%edx)
	incl %esi
	movl %esi,%eax
	andl $7,%eax
	movl %eax,0x3818(%ebx)
	leal -1(%esi),%eax		# the one just taken is free again
	andl $7,%eax
	movl %eax,0x2818(%ebx)
	ret

interrupt:
	pushl %eax
	pushl %edx
	incl count
	movl 0xc0(%ebx),%eax		# the causes, which so are cleared
	movb $0x20,%al
	movw $0xa0,%dx
	r3_out %al,%dx
	movw $0x20,%dx
	r3_out %al,%dx
	popl %edx
	popl %eax
	r3_iret
	.data
	.balign 4
last:	.long 0
count:	.long 0
"""


def frames_of(stream: IO[bytes], number: int) -> list[bytes]:
    found = []
    while len(found) < number:
        (length,) = struct.unpack(">I", stream.read(4))
        found.append(stream.read(length))
    return found


def test_a_guest_answers_its_peer(tmp_path: Path, monitor: Path) -> None:
    kernel = guests.assemble(ECHO, tmp_path / "echo", ported=True)
    place, mac, ours = str(tmp_path / "net"), bytes.fromhex("5254000000aa"), bytes.fromhex("5254000000bb")
    frames = [mac + ours + b"\x88\xb5" + bytes([number == 39]) + bytes([number]) * (50 + 30 * number)
              for number in range(40)]
    answers: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()

        def talk() -> None:
            with listener.accept()[0] as peer, peer.makefile("rb") as stream:
                assert frames_of(stream, 1) == [bytes(60)]
                for start in range(0, 40, 4):
                    for frame in frames[start : start + 4]:
                        peer.sendall(struct.pack(">I", len(frame)) + frame)
                    answers.extend(frames_of(stream, 4))

        talker = threading.Thread(target=talk)
        talker.start()
        run = guests.run(kernel, seconds=20, nets=(NetConfig("connect", place, mac),))
        talker.join()
    assert run.items["frames"] == 40 and 1 <= run.items["interrupts"] <= 41, run.text
    assert answers == [ours + mac + bytes(byte + 1 & 255 if at > 1 else byte for at, byte in enumerate(frame[12:]))
                       for frame in frames]
