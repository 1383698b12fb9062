"""What the system's own files say about the computer this runs on."""

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

# JetPack's major version by that of Jetson Linux (L4T).
JETPACKS = {32: '4', 35: '5', 36: '6', 38: '7', 39: '7'}
# Where the node and the commands keep the engines that TensorRT builds for this computer.
TENSORRT_CACHE = '~/.cache/pavenet/tensorrt'


@dataclass(frozen=True)
class Machine:
    """
    One computer.

    root  the folder that holds proc, etc and opt; another one than / in tests
    """

    root: Path = Path('/')

    def read(self, path: str) -> str:
        """Return a file's text, or nothing if it is not there."""
        try:
            return (self.root / path).read_text(encoding='utf-8', errors='replace').strip('\0\n ')
        except OSError:
            return ''

    @property
    def processor(self) -> str:
        """Return the processor's name, or what is known of it."""
        names = re.findall(r'^model name\s*:\s*(.+)$', self.read('proc/cpuinfo'), re.MULTILINE)
        return names[0] if names else platform.processor() or platform.machine()

    @property
    def jetson(self) -> str:
        """Return the Jetson's model, or nothing on another machine."""
        board = self.read('proc/device-tree/model')
        return board if 'jetson' in board.lower() else ''

    @property
    def jetson_linux(self) -> tuple[int, str] | None:
        """Return the major and the whole version of Jetson Linux (L4T)."""
        found = re.search(r'R(\d+) .*REVISION: ([\d.]+)', self.read('etc/nv_tegra_release'))
        return (int(found[1]), f'{found[1]}.{found[2]}') if found else None

    @property
    def gpus(self) -> list[str]:
        """Return the names of the GPUs that NVIDIA's driver for cards knows."""
        cards = sorted((self.root / 'proc/driver/nvidia/gpus').glob('*/information'))
        texts = [self.read(str(card.relative_to(self.root))) for card in cards]
        return [found[1] for text in texts if (found := re.search(r'Model:\s*(.+)', text))]

    @property
    def ros_distributions(self) -> list[str]:
        """Return the ROS distributions that are installed, sourced or not."""
        return sorted(path.parent.name for path in self.root.glob('opt/ros/*/setup.bash'))

    def describe(self) -> str:
        """Return the machine in a few words, with how busy it is now."""
        name = ', '.join(filter(None, [self.jetson, self.processor, *self.gpus]))
        return f'{name}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}'

    def memory_mib(self) -> dict[str, float]:
        """Return this process's memory, resident and at most; nothing if it is not known."""
        words = {'VmRSS': 'resident', 'VmHWM': 'peak'}
        lines = re.findall(r'^(\w+):\s+(\d+) kB', self.read('proc/self/status'), re.MULTILINE)
        return {words[key]: int(kib) / 1024 for key, kib in lines if key in words}
