"""Reading compiled code: which instructions an i386 ELF file holds, and which of them are sensitive.

Reading order: ``archive`` and ``image`` (the files), ``opcodes`` and ``sensitive`` (tables and classification),
``code`` (what is known about each byte), ``flow``, ``plausible``, ``real_mode``, ``boot_header`` and ``discovery``
(finding the code), ``ported`` (what the porter left there), ``lines`` (DWARF), ``survey`` (all of it for one file).
"""

from porter.binary.survey import PortedSite, Site, Survey, scan, survey, survey_all

__all__ = ["PortedSite", "Site", "Survey", "scan", "survey", "survey_all"]
