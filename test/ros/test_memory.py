"""What is freed goes back to the system."""

import numpy as np

from pavenet_ros.memory import give_back, resident_mib


def test_freed_memory_is_given_back() -> None:
    give_back()
    before = resident_mib()
    assert before > 10
    # Small pieces stay with the C library when they are freed, as a model's do.
    pieces = [np.ones(10_000, np.uint8) for _ in range(10_000)]
    assert resident_mib() - before > 80
    last = pieces[-1]
    del pieces
    give_back()
    assert resident_mib() - before < 40
    assert last.all()
