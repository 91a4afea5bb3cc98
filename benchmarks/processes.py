"""What a process and its children have used, by the kernel's account: processor time and memory."""

import os
import re
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def processor_s(pid: int) -> float:
    """Processor time, in user mode and in the kernel. Counted in ticks of 10 ms as a rule: measure for seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S + sum(map(processor_s, _children(pid)))


def resident_kib(pid: int) -> int:
    """Resident memory."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return (int(found[1]) if found else 0) + sum(map(resident_kib, _children(pid)))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
