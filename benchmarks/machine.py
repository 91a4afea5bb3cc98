"""What the figures were measured on, in one line: they are worth nothing without it."""

import argparse
import os
import platform
from types import ModuleType


def print_machine(hot_module: ModuleType, options: argparse.Namespace) -> None:
    """The machine, whether ``hot_module`` is compiled, and what was asked for."""
    compiled = "interpreted" if str(hot_module.__file__).endswith(".py") else "compiled"
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, hot modules {compiled}")
    print(f"{vars(options)}")
