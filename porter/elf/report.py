"""The report of a binary port: that of a check, with what became of each site, by which tactic and why."""

from __future__ import annotations

from hypercalls.sequences import COVERED_GATE
from porter.binary.code import disassembler
from porter.elf.encode import IN_PLACE, replacement
from porter.elf.port import Decision, Ported
from porter.report import Entry, Input, PortResult, Range, Report, code_entry

_GATES = (COVERED_GATE[:3], b"\xeb\x07\xea")  # how gates begin: the call, and the far jump


def binary_report(ported: Ported, output: str | None) -> Report:
    """What `ring3 port` tells of a binary; `output` is the ported file, if one is written."""
    survey, name = ported.survey, str(ported.image.path)
    about = Input(name, "code", survey.ported, [Range(*r) for r in survey.real_mode],
                  [Range(*r) for r in survey.after_real_mode], survey.undecodable)  # fmt: skip
    entries = [_decided(name, decision) for decision in ported.decisions]
    for treatment, sites in (("stays", survey.native), ("unreached", survey.unreached)):
        entries += [code_entry(name, site, treatment) for site in sites]
    changed = [name] if ported.port.patches else []
    return Report("port", [about], entries, PortResult(output, 1, 0, changed))


def _decided(name: str, decision: Decision) -> Entry:
    entry = code_entry(name, decision.site, decision.treatment)
    reason = decision.choice.why or ("" if decision.treatment == "ported" else entry.reason)
    return entry._replace(cost=_cost(decision), tactic=decision.choice.tactic, reason=reason)


def _cost(decision: Decision) -> str:
    if decision.treatment != "ported":
        return "none"
    insn = next(disassembler().disasm(decision.site.code, decision.site.address, 1))
    code = IN_PLACE.get(insn.id) or replacement(insn) or b""
    return "gate" if code.startswith(_GATES) else "inline"
