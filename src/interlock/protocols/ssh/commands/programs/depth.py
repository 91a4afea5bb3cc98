"""Which programs look at nothing below a directory that they are given, unless an option tells them to."""

import dataclasses
import re

from interlock.protocols.ssh.commands.invocation import Invocation, PathUse, TouchedPath, Verdict
from interlock.protocols.ssh.commands.programs.tables import names

_SHALLOW = names(
    """
    cat tac head tail nl wc stat file readlink realpath md5sum sha1sum sha224sum sha256sum sha384sum sha512sum shasum
    b2sum cksum sum od hexdump hd strings cut paste join comm fold fmt pr column expand unexpand rev iconv base64
    base32 basenc zcat bzcat xzcat lzcat zstdcat gzcat cmp sed awk gawk mawk sort uniq tr jq yq less more view bat
    batcat xxd test [ [[ cd pushd source . install
    """
)
"""Programs that never go down."""
_MAY_GO_DOWN = {
    **dict.fromkeys(("ls", "dir", "vdir"), re.compile("-(?!-).*R.*|--r.*")),
    **dict.fromkeys(("grep", "egrep", "fgrep", "zgrep"), re.compile("-(?!-).*[rRd].*|--(?:r|de|di).*")),
    **dict.fromkeys(("diff", "sdiff"), re.compile("-(?!-).*r.*|--r.*")),
    "cp": re.compile("-(?!-).*[rRa].*|--(?:r|a).*"),
}
"""Programs that do when they are told to, and the options that may tell them. More than do, for nothing hangs on it."""


def of_its_depth(name: str, invocation: Invocation, verdict: Verdict) -> Verdict:
    """The verdict on a program, with what it reads told apart from what is below it."""
    if not verdict.paths or _goes_down(name, invocation):
        return verdict
    return dataclasses.replace(verdict, paths=tuple(map(_shallow, verdict.paths)))


def _goes_down(name: str, invocation: Invocation) -> bool:
    options = _MAY_GO_DOWN.get(name)
    if options is None:
        return name not in _SHALLOW
    return any(not word.literal or options.fullmatch(word.text) for word in invocation.arguments)


def _shallow(touched: TouchedPath) -> TouchedPath:
    return dataclasses.replace(touched, deep=False) if touched.use is PathUse.READ else touched
