"""Disks, file systems and volumes: looking reads, making and taking away destroys what was there."""

import re

from interlock.protocols.ssh.commands.invocation import CommandClass, Invocation, PathUse, Verdict
from interlock.protocols.ssh.commands.programs.options import grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Judge, Programs, plain
from interlock.protocols.ssh.commands.programs.tables import names
from interlock.protocols.ssh.commands.programs.verdicts import (
    DESTROYS,
    NOTHING,
    READS,
    RULES,
    WRITES,
    contacting,
    total,
    touching,
)

_READ, _WRITE, _DESTRUCTIVE = CommandClass.READ, CommandClass.WRITE, CommandClass.DESTRUCTIVE


def _mount(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-aBcfFhilL:MnNo:O:rRsT:t:U:vVw all bind move rbind read-only rw types: options: source: target:
            fake fork verbose label: uuid: make-shared make-private make-rprivate make-slave make-rslave
            make-unbindable show-labels no-mtab no-canonicalize options-mode: onlyonce mkdir? test-opts:"""),
    )
    if (
        parsed.informs
        or parsed.has("V")
        or not invocation.arguments
        or parsed.has("l")
        or not (parsed.operands or parsed.has("a", "all", "source", "target"))
    ):
        return READS
    remote = [word for word in parsed.operands[:1] if re.match(r"//|[\w.-]+:/|\w+@", word.text)]
    server = [
        (word, re.sub(r"^//", "", word.text).split("/")[0].partition(":")[0].rpartition("@")[2].lower())
        for word in remote
    ]
    return total(
        WRITES, RULES, contacting(server) if server else NOTHING, touching(parsed.operands[-1:], PathUse.WRITE)
    )


def _partition(reading: str) -> Judge:
    """Partitioning tools, which only look when asked to."""
    asks = names(reading)

    def judge(invocation: Invocation) -> Verdict:
        words = [word.text for word in invocation.arguments]
        if (
            words
            and all(word.literal for word in invocation.arguments)
            and asks & set(words)
            and not {"rm", "mklabel", "mkpart", "resizepart"} & set(words)
        ):
            return READS
        return DESTROYS

    return judge


def _disk(*classes: CommandClass) -> Judge:
    return plain(".*", "", *classes)


def _crypt(invocation: Invocation) -> Verdict:
    words = {word.text for word in invocation.arguments}
    if words & {"luksDump", "status", "isLuks", "luksUUID", "benchmark", "--version", "--help"}:
        return READS
    removing = words & {
        "luksFormat",
        "erase",
        "luksErase",
        "luksKillSlot",
        "luksRemoveKey",
        "reencrypt",
        "luksHeaderRestore",
        "format",
    }
    return DESTROYS if removing else total(WRITES, RULES)


def _swap(invocation: Invocation) -> Verdict:
    shows = invocation.arguments and all(word.text in ("-s", "--show", "--summary") for word in invocation.arguments)
    return READS if shows else WRITES


def _logical_volumes(invocation: Invocation) -> Verdict:
    name = invocation.program.text.rpartition("/")[2]
    if re.fullmatch(r"(?:pv|vg|lv)(?:remove|reduce)|lvconvert|vgsplit|vgmerge|lvresize", name):
        return DESTROYS
    return WRITES


def _raid(invocation: Invocation) -> Verdict:
    words = {word.text for word in invocation.arguments}
    if words & {"--detail", "-D", "--examine", "-E", "--query", "-Q", "--version", "--scan"} and not words & {
        "--assemble",
        "-A",
        "--stop",
        "-S",
    }:
        return READS
    return (
        DESTROYS
        if words & {"--stop", "-S", "--remove", "-r", "--fail", "-f", "--zero-superblock", "--create", "-C"}
        else WRITES
    )


def _file_system_check(invocation: Invocation) -> Verdict:
    asks = any(word.text in ("-n", "-N", "--readonly") for word in invocation.arguments)
    return READS if asks else total(WRITES, DESTROYS)


def _smart(invocation: Invocation) -> Verdict:
    writes = any(
        word.text in ("-s", "-t", "--test", "--smart", "--set", "-X")
        or word.text.startswith(("--smart=", "--set=", "--test="))
        for word in invocation.arguments
    )
    return WRITES if writes else READS


def _pool(invocation: Invocation) -> Verdict:
    """``zfs``, ``zpool``, ``btrfs``."""
    words = [word.text for word in invocation.arguments if not word.text.startswith("-")]
    if set(words[:2]) & {
        "destroy",
        "rollback",
        "remove",
        "detach",
        "delete",
        "labelclear",
        "offline",
        "clear",
        "restore",
        "check",
        "rescue",
    }:
        return DESTROYS
    if set(words[:2]) & {
        "list",
        "status",
        "get",
        "iostat",
        "history",
        "show",
        "df",
        "usage",
        "du",
        "stats",
        "diff",
        "version",
        "holds",
        "events",
    }:
        return READS
    return WRITES if words else READS


PROGRAMS: Programs = {
    "mount": _mount,
    "umount": plain(".*", "", _DESTRUCTIVE),
    "fusermount": plain(".*", "", _WRITE),
    "swapon": _swap,
    "swapoff": plain(".*", "", _DESTRUCTIVE),
    **dict.fromkeys(
        ("fdisk", "sfdisk", "cfdisk", "gdisk", "parted", "partprobe", "partx"),
        _partition("-l --list -x -d --dump print --version -s"),
    ),
    **dict.fromkeys(
        names(
            "mkfs mkfs.ext2 mkfs.ext3 mkfs.ext4 mkfs.xfs mkfs.btrfs mkfs.vfat mkfs.fat mkfs.ntfs mkfs.f2fs mke2fs"
            " mkswap mkntfs mkdosfs wipefs blkdiscard badblocks hdparm sgdisk resize2fs xfs_growfs tune2fs e2label"
            " ddrescue scrub nvme wipe sfill xfs_repair mkfs.exfat growpart"
        ),
        _disk(_DESTRUCTIVE),
    ),
    "losetup": lambda invocation: (
        READS
        if all(word.text in ("-a", "-l", "--list", "--all") for word in invocation.arguments)
        else total(WRITES, RULES)
    ),
    "cryptsetup": _crypt,
    **dict.fromkeys(
        names(
            "pvcreate vgcreate lvcreate lvextend vgextend pvresize lvresize lvreduce vgreduce pvremove vgremove"
            " lvremove lvchange vgchange pvchange lvrename vgrename pvmove lvconvert vgimport vgexport"
        ),
        _logical_volumes,
    ),
    "mdadm": _raid,
    **dict.fromkeys(("fsck", "e2fsck", "fsck.ext4", "fsck.xfs", "fsck.vfat", "btrfsck"), _file_system_check),
    "smartctl": _smart,
    **dict.fromkeys(("zfs", "zpool", "btrfs"), _pool),
    "fstrim": plain(".*", "", _WRITE),
    "eject": plain(".*", "", _WRITE),
    "dmsetup": lambda invocation: (
        READS
        if invocation.arguments and invocation.arguments[0].text in ("ls", "info", "status", "table")
        else DESTROYS
    ),
}
