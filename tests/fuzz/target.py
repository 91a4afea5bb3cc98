"""What every fuzz target does: read seeds, instrument the package, run.

A target is a function from bytes to nothing that raises only for a defect: the rejections that the code documents are
caught in it, by name. ``make fuzz`` runs each file ``fuzz_*.py``; its seeds are in ``seeds/<name of the target>``.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import atheris

SEEDS = Path(__file__).parent / "seeds"


def run(name: str, test_one_input: Callable[[bytes], None]) -> None:
    """Run a target with the arguments of libFuzzer. New inputs are kept under ``build``, not in the seeds."""
    corpus = Path("build/fuzz/corpus") / name
    corpus.mkdir(parents=True, exist_ok=True)
    directories = [str(directory) for directory in (corpus, SEEDS / name) if directory.is_dir()]
    atheris.Setup([sys.argv[0], "-rss_limit_mb=1024", "-timeout=20", *sys.argv[1:], *directories], test_one_input)
    atheris.Fuzz()
