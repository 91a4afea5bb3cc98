"""Entry point of the ``interlock`` command."""

from interlock.bootstrap.bench import Bench
from interlock.surfaces.cli.application import build


def main() -> None:
    build(Bench)()


if __name__ == "__main__":
    main()
