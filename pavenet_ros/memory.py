"""How much memory this process holds, and giving back what it no longer needs."""

import ctypes
from pathlib import Path


def resident_mib() -> float:
    """Return the resident memory of this process; 0 where the system does not tell."""
    status = Path('/proc/self/status')
    if not status.exists():
        return 0.0
    lines = status.read_text(encoding='ascii', errors='ignore').splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith('VmRSS:')), 0.0)


def give_back() -> None:
    """Hand freed memory to the system; the C library of Linux else keeps it for later."""
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim is not None:
        trim(0)
