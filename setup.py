"""Compiles the hot modules with mypyc when the package is built; all other facts are in pyproject.toml.

``INTERLOCK_COMPILE=0`` leaves the modules interpreted and ``INTERLOCK_COMPILE=1`` insists on compiling them. When it
is unset, a machine without a C compiler gets the interpreted modules: the same source, only slower. An editable
install is never compiled, because an extension module next to its source would hide every later edit.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

# What runs for each message or statement. Modules that define msgspec structs cannot be compiled.
_HOT = {
    "adapters": "clock",
    "adapters/ledger": "journal ledger standard strict",
    "adapters/recordings": "recorder sealing",
    "core": "budget keyed_masks merkle",
    "core/content": "content tally text_masker",
    "protocols/http": "admission answering client_end conversation echo exchange forwarding presented relaying"
    " requesting routing session target_end terms tunnel",
    "protocols/http/bodies": "charsets codings fields inspection json_held json_long_text json_masker"
    " json_texts loose_fields plan sniffing substitutes suspects value_masker",
    "protocols/http/dialects": "endpoints plain readings",
    "protocols/http/websocket": "deflate frames messages relay sending",
    "protocols/http/wire": "fields framing received requests responses targets writing",
    "protocols/postgres": "answer_masks answers copy_guard forwarding frames groups held masks metering names"
    " outstanding parameters relay requests rows scope_changes session session_names",
    "protocols/postgres/statements": "calls constants dispatch expressions findings functions nodes queries relations"
    " truth walk",
    "runtime": "driver driver_parts peer session_timer",
    "services": "session_budgets",
    "services/enforcement": "guard judge wording",
}
HOT_MODULES = [f"src/interlock/{folder}/{name}.py" for folder, names in _HOT.items() for name in names.split()]
_COMPILING_COMMANDS = {"bdist_wheel", "build_ext"}


def extensions() -> list[Extension]:
    """The extension modules to build, optional ones unless the builder insists."""
    choice = os.environ.get("INTERLOCK_COMPILE", "")
    if choice == "0" or not _COMPILING_COMMANDS.intersection(sys.argv):
        return []
    from mypyc.build import mypycify  # a requirement of the build only

    sources = [path for path in HOT_MODULES if Path(path).exists()]
    compiled = mypycify(["--strict", *sources], opt_level="3", group_name="interlock") if sources else []
    for extension in compiled:
        extension.optional = choice != "1"
    return compiled


setup(ext_modules=extensions())
