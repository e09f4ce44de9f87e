"""Which assembler a source is written for, where its name does not tell: NASM, FASM, MASM and TASM share suffixes.

A source tells by what one assembler has and the others have not: most signs win, and those that nothing else could be
count more. One that other languages have, too, counts only in a text that names an i386 register. NASM's are in its
manual's chapters 3 to 8, FASM's in chapter 2 of the flat assembler's.
"""

from __future__ import annotations

import re

NASM, GAS, FASM, MASM = "NASM", "GAS", "FASM", "MASM or TASM"
LIKE_GAS = "text with GAS's signs, but no directive"  # a listing, or C, which has the preprocessor's lines, too
UNSURE = "Intel syntax"  # i386 assembly that could be for several
UNKNOWN = ""  # perhaps not for an i386 at all

_NOISE = re.compile(r"""'[^'\n]*'|"[^"\n]*"|;[^\n]*|/\*.*?\*/""", re.DOTALL)
_BLANKS = re.compile(r"[ \t\r]+")
_CERTAIN, _ENOUGH = 3, 2
_LINE = r"^[ \t]*"
_LABELLED = rf"{_LINE}(?:[\w.$@?]+:?[ \t]+)?"
# Strings are left as two quotes where these look.
_SIGNS = tuple((name, weight, re.compile(pattern, re.MULTILINE)) for name, weight, pattern in (
    (NASM, _CERTAIN, rf"{_LINE}%(?:include|i?x?define|i?r?macro|endm(?:acro)?|if\w*|elif\w*|else|endif|i?assign"
                     r"|rep|endrep|use|rotate|error|warning|fatal|strlen|substr|strcat|undef|unmacro|pragma|line|arg|local"
                     r"|stacksize|push|pop|repl|deftok|clear)\b"),
    (NASM, _CERTAIN, rf"{_LINE}\[?[ \t]*bits[ \t]+(?:16|32|64)\b"),
    (NASM, _CERTAIN, rf"{_LINE}\[[ \t]*(?:section|segment|org|global|extern|absolute|cpu|default|map|common)\b"),
    (NASM, 1, rf"{_LINE}(?:section|segment)[ \t]+\.?[a-z_]"),
    (NASM, 1, rf"{_LINE}global[ \t]+[a-z_.$?@]"),
    (NASM, 1, rf"{_LINE}extern[ \t]+[\w.$?@]+[ \t\r]*(?:,|$)"),
    (NASM, 1, rf"{_LABELLED}res[bwdqt][ \t]+\S"),
    (NASM, 1, rf"{_LINE}(?:endstruc|istruc|iend)\b"),
    (GAS, _CERTAIN, rf"{_LINE}\.(?:globl|global|section|byte|long|word|quad|ascii|asciz|string|p2align|balign|macro"
                    r"|code16|code32|intel_syntax|att_syntax|set|equ|type|size|extern|space|skip|fill)[ \t]+[^ \t:]"),
    (GAS, _CERTAIN, r"(?:^|[ \t,(])%(?:e?[abcd]x|[abcd][hl]|e?[sd]i|e?[sb]p|[c-gs]s|cr\d)\b"),
    (GAS, _CERTAIN, rf"{_LINE}\#[ \t]*(?:include|define|ifn?def|if)\b"),
    (GAS, 1, rf"{_LINE}\.(?:text|code16|code32)[ \t\r]*$"),
    (FASM, _CERTAIN, rf"{_LINE}format[ \t]+(?:elf\w*|binary|mz|pe\w*|coff|ms)\b"),
    (FASM, _CERTAIN, rf"{_LINE}section[ \t]+''"),
    (FASM, _CERTAIN, rf"{_LINE}(?:macro|struc)[ \t]+[^\n{{]*\n?[ \t]*\{{"),
    (FASM, 1, rf"{_LINE}include[ \t]+(?:''|\"\")"),
    (FASM, 1, rf"{_LABELLED}r[bwdqpt][ \t]+[\w(]"),
    (FASM, 1, rf"{_LINE}(?:virtual\b|end[ \t]+(?:virtual|if|while|repeat)\b|file[ \t]+''|entry[ \t]+\w)"),
    (FASM, 1, rf"{_LINE}(?:public|extrn)[ \t]+\w+[ \t\r]*$"),
    (MASM, _CERTAIN, rf"{_LINE}\.(?:[1-6]86\w*|model|stack|mmx|xmm)\b(?![ \t]*:)"),
    (MASM, _CERTAIN, rf"{_LINE}[\w$@?]+[ \t]+(?:proc|endp|ends|macro)\b"),
    (MASM, _CERTAIN, rf"{_LINE}[\w$@?]+[ \t]+segment\b(?![ \t]*:)"),
    (MASM, _CERTAIN, rf"{_LINE}assume[ \t]+\w+[ \t]*:"),
    (MASM, _CERTAIN, rf"{_LINE}(?:ideal|masm)[ \t\r]*$"),
    (MASM, 1, r"\boffset[ \t]+\w"),
    (MASM, 1, r"\b(?:byte|d?word|[fq]word)[ \t]+ptr\b"),
    (MASM, 1, rf"{_LINE}\.(?:code|data\??|const)[ \t\r]*$"),
    (MASM, 1, rf"{_LINE}end(?:[ \t]+\w+)?[ \t\r]*$"),
    (MASM, 1, rf"{_LINE}(?:public|extrn|extern)[ \t]+\w+(?:[ \t]*:|[ \t\r]*$)"),
    (MASM, 1, rf"{_LINE}include[ \t]+[\w\\.]+[ \t\r]*$"),
))
_DIRECTIVES = tuple(sign for name, _, sign in _SIGNS if name == GAS and sign.pattern.startswith(rf"{_LINE}\."))
# An i386 register where an instruction has it as an operand; SP is other processors' as well.
_REGISTER = re.compile(
    rf"{_LABELLED}(?:\w+[ \t]+)?[a-z]\w*[ \t]+(?:[^\n]*[ \t,\[+*:(])?"
    r"(?:e[abcd]x|e[sd]i|e[sb]p|r[abcd]x|r[sd]i|[abcd]x|[abcd][hl]|[sd]i|[c-gs]s|cr[0-4])[ \t\r]*(?:[],+*:)-]|$)",
    re.MULTILINE)


def assembler_of(text: str) -> str:
    """The assembler that a text is for: one of the names above."""
    lower = _NOISE.sub(lambda match: match[0][0] * 2 if match[0][0] in "'\"" else "", text.lower())
    lower = _BLANKS.sub(" ", lower)  # or some lines would take the signs long
    points = dict.fromkeys((NASM, GAS, FASM, MASM), 0)
    for name, weight, sign in _SIGNS:
        if sign.search(lower):
            points[name] += weight
    most = max(points.values())
    found = [name for name, number in points.items() if number == most]
    register = _REGISTER.search(lower) is not None
    if found == [GAS] and not any(sign.search(lower) for sign in _DIRECTIVES):
        return LIKE_GAS
    if len(found) == 1 and (most >= _ENOUGH or register):
        return found[0]
    return UNSURE if register else UNKNOWN


def may_be_nasm(text: str) -> bool:
    """False: no sign in a text, comments and strings included, is NASM's."""
    lower = _BLANKS.sub(" ", text.lower())
    return any(sign.search(lower) for name, _, sign in _SIGNS if name == NASM)
