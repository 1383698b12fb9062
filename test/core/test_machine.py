import os
import subprocess
import sys
from pathlib import Path

import pytest

from pavenet_core.machine import Machine


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_an_orin_is_known_by_its_files(tmp_path: Path) -> None:
    write(tmp_path, 'proc/device-tree/model', 'NVIDIA Jetson AGX Orin Developer Kit\0')
    release = '# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n'
    write(tmp_path, 'etc/nv_tegra_release', release)
    machine = Machine(tmp_path)
    assert machine.jetson == 'NVIDIA Jetson AGX Orin Developer Kit'
    assert machine.jetson_linux == (36, '36.4.3')
    assert machine.describe().startswith('NVIDIA Jetson AGX Orin Developer Kit, ')


def test_a_workstation_is_known_by_its_processor_and_cards(tmp_path: Path) -> None:
    write(tmp_path, 'proc/cpuinfo', 'processor\t: 0\nmodel name\t: AMD EPYC 9\n')
    for slot, card in enumerate(('RTX 4090', 'RTX A2000')):
        text = f'Model: \t\t NVIDIA {card}\nIRQ:   104\n'
        write(tmp_path, f'proc/driver/nvidia/gpus/0000:0{slot}:00.0/information', text)
    machine = Machine(tmp_path)
    assert machine.gpus == ['NVIDIA RTX 4090', 'NVIDIA RTX A2000']
    words = f'AMD EPYC 9, NVIDIA RTX 4090, NVIDIA RTX A2000, {os.cpu_count()} cores, load '
    assert machine.describe().startswith(words)


def test_a_machine_without_such_files_has_nothing_of_it(tmp_path: Path) -> None:
    write(tmp_path, 'proc/device-tree/model', 'Raspberry Pi 5 Model B\0')
    machine = Machine(tmp_path)
    assert (machine.jetson, machine.jetson_linux, machine.gpus) == ('', None, [])
    assert machine.memory_mib() == {}
    assert machine.ros_distributions == []
    assert machine.processor


def test_memory_is_resident_and_its_peak(tmp_path: Path) -> None:
    text = 'VmPeak:\t  999999 kB\nVmHWM:\t    3072 kB\nVmRSS:\t    2048 kB\n'
    write(tmp_path, 'proc/self/status', text)
    assert Machine(tmp_path).memory_mib() == {'peak': 3, 'resident': 2}


GROWING = """
from pavenet_core.machine import Machine

before = Machine().memory_mib()
kept = b'x' * 2**26
after = Machine().memory_mib()
print(before.get('resident', 0), after.get('resident', 0), after.get('peak', 0), len(kept))
"""


def test_memory_is_this_processs_and_grows_with_it() -> None:
    # In a process of its own: in this one, earlier tests' memory may be given back meanwhile.
    said = subprocess.run(
        [sys.executable, '-c', GROWING], capture_output=True, text=True, check=True
    )
    before, after, peak, kept = (float(word) for word in said.stdout.split())
    if not before:
        pytest.skip('no /proc/self/status here')
    assert 32 < after - before < 256
    assert peak >= after - 1
    assert kept == 2**26
