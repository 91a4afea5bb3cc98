"""What a program for ``awk`` does besides printing: files it writes, and whether it runs or reads anything else."""

import re

_RUNS = re.compile(r"\bsystem\b|\bgetline\b|@\s*(?:load|include|namespace|\w+\s*\()|\bextension\b|/inet[46]?/")
_MAX = 200
"""Brackets, and statements that print, in a program that is looked into."""
_PIPES = re.compile(r"(?<!\|)\|(?!\|)|\|&")
_OUTPUT = re.compile(r"\b(?:print|printf)\b[^;}\n]*?>>?\s*(?P<target>[^;}\n]*)")
_STRING_MARK = re.compile(r"\0(\d+)\0\s*")
_BEFORE_REGEX = re.compile(r"(?:[(,{};!~&|=?:]|\b(?:print|printf|return|in|else|do|case|and|or))$")


def files_written(program: str) -> tuple[str, ...] | None:
    """The files that the program prints to; None when it runs programs, reads others, or is not understood.

    Words that run something make it None wherever they stand, even in a string.
    """
    if _RUNS.search(program) or program.count("print") > _MAX or program.count("(") > _MAX:
        return None
    try:
        code, strings = _without_literals(program)
    except IndexError:
        return None
    if _PIPES.search(code):
        return None
    targets = [found["target"] for found in _OUTPUT.finditer(_outside_brackets(code))]
    marks = [_STRING_MARK.fullmatch(target) for target in targets]
    if not all(marks):
        return None
    return tuple(re.sub(r"\\(.)", r"\1", strings[int(mark[1])]) for mark in marks if mark)


def _without_literals(program: str) -> tuple[str, list[str]]:
    """The code with a mark for each string, and without regular expressions and comments. Raises IndexError when one
    does not end."""
    code = ""
    strings: list[str] = []
    at = 0
    while at < len(program):
        character = program[at]
        if character == '"':
            end = _end(program, at)
            code += f"\0{len(strings)}\0"
            strings.append(program[at + 1 : end - 1])
            at = end
        elif character == "/" and _may_begin_expression(code):
            at = _end(program, at)
            code += " R "
        elif character == "#":
            at = (program + "\n").index("\n", at)
        else:
            code += character
            at += 1
    return code, strings


def _may_begin_expression(code: str) -> bool:
    """A slash behind this code does not divide."""
    line = code[code.rfind("\n") + 1 :].rstrip()
    return not line or _BEFORE_REGEX.search(line[-12:]) is not None


def _end(program: str, at: int) -> int:
    """Behind the delimiter that ends what begins here. Raises IndexError when a ``[`` leaves that in doubt."""
    delimiter = program[at]
    start = at = at + 1
    while program[at] != delimiter:
        at += 2 if program[at] == "\\" else 1
    if delimiter == "/" and _in_brackets(program[start:at]):
        raise IndexError
    return at + 1


def _in_brackets(expression: str) -> bool:
    """A regular expression that is cut off here is inside of a bracket expression."""
    without_escapes = re.sub(r"\\.", "", expression)
    return "[" in re.sub(r"\[\^?\]?(?:\[:\w+:\]|[^\]])*\]", "", without_escapes)


def _outside_brackets(code: str) -> str:
    """``>`` between brackets compares."""
    previous = ""
    while previous != code:
        previous, code = code, re.sub(r"\([^()]*\)|\[[^\[\]]*\]", " B ", code)
    return code
