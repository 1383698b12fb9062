"""`python -m pavenet_core.cli`, as torchrun starts it."""

import sys

from pavenet_core.cli import main

sys.exit(main())
