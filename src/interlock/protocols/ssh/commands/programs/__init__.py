"""What programs do, told from their arguments: tables and rules for each family of programs."""

from interlock.protocols.ssh.commands.programs.judging import judge
from interlock.protocols.ssh.commands.programs.places import path_classes

__all__ = ["judge", "path_classes"]
