"""``git``: what it reads, writes, throws away and sends; settings, transports and hooks that run programs."""

import re
from collections.abc import Sequence

from interlock.protocols.ssh.commands.invocation import Invocation, PathUse, Verdict, Word
from interlock.protocols.ssh.commands.programs import hosts
from interlock.protocols.ssh.commands.programs.options import grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Programs, of_options, plain
from interlock.protocols.ssh.commands.programs.subcommands import has_flag, tool
from interlock.protocols.ssh.commands.programs.verdicts import (
    CONTACTS,
    DESTROYS,
    NOTHING,
    PERSISTS,
    READS,
    WRITES,
    contacting,
    opaque,
    shelling,
    starting,
    total,
    touching,
)

_GLOBAL = """-C:c:pPhv git-dir: work-tree: namespace: exec-path! config-env! paginate no-pager bare no-replace-objects
    literal-pathspecs glob-pathspecs noglob-pathspecs icase-pathspecs no-optional-locks html-path man-path info-path
    no-lazy-fetch no-advice attr-source: list-cmds:"""

_TABLE = """
read: status log diff show blame annotate shortlog describe rev-parse rev-list ls-files ls-tree cat-file
name-rev grep whatchanged for-each-ref show-ref merge-base count-objects fsck check-ignore check-attr
check-mailmap version help verify-commit verify-tag diff-tree diff-index diff-files range-diff cherry
show-branch verify-pack column stripspace var merge-tree get-tar-commit-id patch-id check-ref-format reflog
reflog.show bisect.log bisect.view stash.list stash.show worktree.list submodule submodule.status
submodule.summary notes notes.list notes.show remote.get-url sparse-checkout.list lfs.ls-files lfs.status
lfs.env lfs bundle.verify bundle.list-heads upload-pack upload-archive write: add commit merge cherry-pick
revert init apply am format-patch mv repack pack-refs update-index update-ref update-server-info commit-graph
multi-pack-index write-tree read-tree commit-tree mktree mktag pack-objects unpack-objects index-pack
fast-export hash-object symbolic-ref rerere replace stash stash.push stash.save stash.pop stash.apply
stash.branch stash.create stash.store worktree.add worktree.move worktree.lock worktree.unlock worktree.repair
submodule.init submodule.sync submodule.absorbgitdirs notes.add notes.append notes.edit notes.copy notes.merge
remote.rename remote.set-head remote.set-branches bisect.start bisect.good bisect.bad bisect.reset bisect.skip
bisect.new bisect.old sparse-checkout sparse-checkout.set sparse-checkout.add sparse-checkout.init
sparse-checkout.disable lfs.track lfs.untrack bundle.create maintenance.run gc mailinfo mailsplit merge-file
merge-index switch:-m stage receive-pack lfs.checkout destructive: prune prune-packed stash.drop stash.clear
worktree.remove worktree.prune submodule.deinit notes.remove notes.prune remote.remove remote.rm remote.prune
reflog.expire reflog.delete branch:-D branch:-d branch:--delete branch:-f branch:--force tag:-d tag:--delete tag:-f
tag:--force reset:--hard reset:--merge
reset:--keep checkout:-f checkout:--force checkout:-B switch:--discard-changes switch:-f switch:--force
switch:-C gc:--prune push:--force push:-f push:--mirror push:--delete push:-d push:--prune
push:--force-with-lease push:--force-if-includes update-ref:-d rm lfs.prune replace:-d symbolic-ref:-d
symbolic-ref:--delete worktree.add:-B network: remote.show ls-remote send-email request-pull imap-send
network+write: remote.update submodule.update submodule.add lfs.fetch lfs.pull lfs.install svn p4
network+read: lfs.push persistence: maintenance.start maintenance.register opaque: mergetool difftool instaweb
daemon credential credential-store credential-cache credential-fill shell gui gitk citool filter-branch
filter-repo fast-import http-backend remote-ext remote-fd lfs.migrate for-each-repo grep:-O
grep:--open-files-in-pager diff:--ext-diff log:--ext-diff show:--ext-diff ls-remote:--upload-pack
fsmonitor--daemon send-email:--smtp-server send-email:--sendmail-cmd send-email:--to-cmd send-email:--cc-cmd
init:--template help:-w help:--web cherry-pick:--strategy merge:--strategy merge:-s revert:--strategy
apply:--unsafe-paths
"""

_HARMLESS_KEYS = re.compile(
    r"user\.(?:name|email|signingkey)|color\..*|advice\..*|core\.(?:quotepath|autocrlf|filemode|ignorecase|safecrlf|eol"
    r"|abbrev|longpaths|bare|preloadindex|precomposeunicode|symlinks|compression)|init\.defaultbranch|safe\.directory"
    r"|gc\..*|commit\.gpgsign|tag\.gpgsign|protocol\.version|log\..*|pull\.(?:rebase|ff)|push\.(?:default|autosetupremote"
    r"|followtags)|fetch\.(?:prune|parallel|prunetags)|merge\.(?:ff|conflictstyle)|rebase\.(?:autosquash|autostash)"
    r"|diff\.(?:renames|renamelimit|algorithm|colormoved|mnemonicprefix|noprefix)"
    r"|branch\.[^ ]*\.(?:merge|remote|rebase)"
    r"|rerere\.enabled|status\..*|http\.(?:postbuffer|version|lowspeed\w+|followredirects)|submodule\.recurse|column\.ui"
    r"|pack\..*|index\..*|feature\..*|help\.autocorrect|credential\.usehttppath|core\.sparsecheckout.*|transfer\.fsckobjects",
    re.IGNORECASE,
)


def _harmless_setting(word: Word) -> bool:
    """``key=value`` of ``-c``, which may make any sub-command run a program."""
    key, _, value = word.text.partition("=")
    if not word.literal:
        return False
    if re.fullmatch(r"core\.pager|pager\.\w+", key, re.IGNORECASE):
        return value in ("cat", "less", "", "false", "true")
    return _HARMLESS_KEYS.fullmatch(key) is not None


def _git(invocation: Invocation) -> Verdict:
    front = parse(invocation.arguments, grammar(_GLOBAL, in_order=True))
    settings = front.values("c")
    if not all(map(_harmless_setting, settings)):
        return total(opaque("git -c sets something that may run a program"), _TOOL(invocation))
    if any(not word.literal and not word.text for word in front.operands[:1]):
        return opaque("what git is told is not known")
    does = total(_TOOL(invocation), _outputs(front.operands), _unknown_options(front.operands))
    places = touching(front.values("C", "git-dir", "work-tree"), _use_of(does))
    return total(does, places, touching(_files(front.operands), PathUse.READ))


def _files(words: Sequence[Word]) -> list[Word]:
    """Operands that are certainly files, of whichever sub-command: outside of the repository, or with none."""
    anywhere = any(word.text in ("hash-object", "--no-index") for word in words)
    operands = [word for word in words[1:] if not word.text.startswith("-")]
    return [word for word in operands if anywhere or word.text.startswith(("/", "~", "../"))]


def _use_of(does: Verdict) -> PathUse:
    return PathUse.READ if does.classes <= READS.classes | CONTACTS.classes else PathUse.WRITE


def _outputs(words: Sequence[Word]) -> Verdict:
    """``--output=FILE`` of everything that shows differences."""
    written = [Word(word.text.partition("=")[2], word.literal) for word in words if re.match(r"--outpu?t?=", word.text)]
    separate = [words[at + 1] for at, word in enumerate(words[:-1]) if word.text == "--output"]
    return touching([*written, *separate], PathUse.WRITE)


def _unknown_options(words: Sequence[Word]) -> Verdict:
    """Options that run programs, of whichever sub-command."""
    for word in words:
        if word.text == "--":
            break
        if re.match(
            r"--(?:upload-p|receive-p|exec\b|ext-diff|open-f|extcmd|to-cmd|template=)", word.text
        ) or word.text.startswith("ext::"):
            return opaque(f"git {word.text.partition('=')[0]} runs a program")
    return NOTHING


def _operands(words: Sequence[Word], options: str) -> tuple[Word, ...]:
    return parse(words, grammar(options)).operands


def _reach(words: Sequence[Word]) -> Verdict:
    """A repository: a URL or ``host:path``, a path, or the name of a remote whose URL is not known here."""
    verdicts: list[Verdict] = []
    for word in words[:1]:
        if re.match(r"[\w-]+::", word.text) or word.text.startswith("-"):
            verdicts.append(opaque("a transport of its own"))
        elif hosts.of_remote_path(word.text) or "://" in word.text or (not word.literal and not word.text):
            verdicts.append(contacting([(word, hosts.of_remote_path(word.text))]))
    return total(*verdicts)


_CLONE = """-vqlnso:b:u!c:j: local no-hardlinks shared reference< reference-if-able< dissociate quiet verbose progress
    server-option: no-checkout reject-shallow bare sparse filter: also-filter-submodules mirror origin: branch:
    upload-pack! template! config: depth: shallow-since: shallow-exclude: single-branch no-single-branch no-tags
    recurse-submodules? recursive shallow-submodules remote-submodules separate-git-dir> jobs: bundle-uri@ tags
    revision: no-progress"""


def _clone(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    parsed = parse(rest, grammar(_CLONE))
    if parsed.unknown or parsed.has("u", "upload-pack", "template"):
        return total(CONTACTS, opaque("git clone has an option that may run a program"))
    bad = [word for word in parsed.values("c", "config") if not _harmless_setting(word)]
    source, target = parsed.operands[:1], parsed.operands[1:2]
    if not target and source:
        name = re.sub(r"\.git$", "", re.split(r"[/:]", source[0].text.rstrip("/"))[-1])
        target = (Word(name, source[0].literal),)
    local = source and source[0].literal and hosts.of_remote_path(source[0].text) is None and "::" not in source[0].text
    return total(
        WRITES if local and "://" not in source[0].text else total(WRITES, CONTACTS),
        opaque("git clone sets something that may run a program") if bad else NOTHING,
        _reach(source),
        touching(source if local else (), PathUse.READ),
        touching(target, PathUse.WRITE),
    )


_FETCH = """-aqvfkpPtnujo:46j:sXr? all append atomic depth: deepen: shallow-since: shallow-exclude: unshallow
    update-shallow negotiation-tip: dry-run porcelain filter: force keep multiple prune prune-tags no-tags
    tags refmap: refetch recurse-submodules? no-recurse-submodules jobs: set-upstream upload-pack! progress
    server-option: verbose quiet ff ff-only no-ff rebase? no-rebase autostash commit no-commit strategy:
    strategy-option: squash stat no-stat edit no-edit signoff verify no-verify allow-unrelated-histories ipv4
    ipv6 no-progress rebase"""


def _fetch(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    parsed = parse(rest, grammar(_FETCH))
    odd = opaque("git has an option that is not known") if parsed.unknown or parsed.has("upload-pack") else NOTHING
    return total(CONTACTS, WRITES, odd, _reach(parsed.operands))


def _push(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    parsed = parse(
        rest,
        grammar("""-qvndfuo:46 all branches mirror tags delete dry-run porcelain force force-with-lease? no-verify
            force-if-includes repo: set-upstream thin no-thin receive-pack! exec! push-option: signed? atomic
            follow-tags no-follow-tags recurse-submodules: prune verbose quiet progress verify ipv4 ipv6
            no-progress no-force-with-lease"""),
    )
    odd = (
        opaque("git push has an option that is not known")
        if parsed.unknown or parsed.has("receive-pack", "exec")
        else NOTHING
    )
    removing = any(word.text.startswith(("+", ":")) for word in parsed.operands[1:])
    return total(CONTACTS, odd, DESTROYS if removing else NOTHING, _reach([*parsed.values("repo"), *parsed.operands]))


def _branch(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    """``git branch`` lists, unless it is given a name."""
    listing = any(
        has_flag(rest, flag)
        for flag in (
            "--list",
            "-l",
            "-a",
            "-r",
            "--all",
            "--remotes",
            "--contains",
            "--merged",
            "--no-merged",
            "--show-current",
            "--points-at",
            "-n",
            "-v",
            "-vv",
            "--sort",
        )
    )
    named = [word for word in rest if not word.text.startswith("-")]
    return READS if listing or not named else WRITES


def _tag(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    flags = ("--list", "-l", "--contains", "--merged", "--no-merged", "--points-at", "--sort", "-v", "--verify")
    listing = any(has_flag(rest, flag) for flag in (*flags, "-n"))
    makes = any(word.text in ("-a", "-s", "-m", "-f", "-F", "-am") for word in rest)
    return READS if not rest or (listing and not makes) else WRITES


def _remote(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    return (
        READS
        if all(word.text in ("-v", "--verbose") for word in rest)
        else opaque("what git remote is told is not known")
    )


def _remote_url(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    operands = _operands(rest, "-t:m:f tags no-tags mirror? fetch track: master: push add delete")
    return total(
        WRITES,
        CONTACTS if has_flag(rest, "-f") else NOTHING,
        Verdict(frozenset(), hosts=_reach(operands[1:]).hosts),
        opaque("a transport of its own") if any("::" in word.text for word in operands[1:]) else NOTHING,
    )


def _config(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    """Reading settings; one that may run a program later persists."""
    parsed = parse(
        rest,
        grammar("""-f>lze global system local worktree file> blob: replace-all add get get-all get-regexp get-urlmatch
            get-color get-colorbool name-only list unset unset-all rename-section remove-section edit null type: bool
            int bool-or-int bool-or-str path expiry-date show-origin show-scope includes default: no-includes
            fixed-value all regexp: value: url:"""),
    )
    verb = parsed.operands[0].text if parsed.operands else ""
    if parsed.has("edit", "e") or verb == "edit":
        return opaque("an editor is opened")
    looks = [option for option in parsed.options if option.name.startswith("get")] or parsed.has("list", "l")
    if looks or verb in ("get", "list") or (len(parsed.operands) == 1 and not parsed.has("unset", "unset-all")):
        return READS
    key = (
        parsed.operands[1] if verb in ("set", "unset") and len(parsed.operands) > 1 else (*parsed.operands, Word(""))[0]
    )
    harmless = key.literal and _HARMLESS_KEYS.fullmatch(key.text)
    return total(WRITES, NOTHING if harmless else PERSISTS, touching(parsed.values("f", "file"), PathUse.WRITE))


def _checkout(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    """With paths it throws away what was changed in them."""
    texts = [word.text for word in rest]
    paths = (
        ("--" in texts and texts[-1] != "--") or "." in texts or has_flag(rest, "--ours") or has_flag(rest, "--theirs")
    )
    loses = paths or any(re.search(r"[*?]", text) for text in texts)
    files = list(rest[texts.index("--") + 1 :]) if "--" in texts else []
    return total(WRITES, DESTROYS if loses else NOTHING, touching(files, PathUse.WRITE))


def _restore(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    staged = has_flag(rest, "--staged") or any(word.text == "-S" for word in rest)
    tree = has_flag(rest, "--worktree") or any(word.text in ("-W", "-SW", "-WS") for word in rest)
    return WRITES if staged and not tree else total(WRITES, DESTROYS)


def _remove(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    if has_flag(rest, "--cached"):
        return WRITES
    return total(DESTROYS, touching(_operands(rest, "-rfnq cached force quiet dry-run ignore-unmatch"), PathUse.REMOVE))


def _clean(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    if has_flag(rest, "--dry-run") or has_flag(rest, "-n"):
        return READS
    return total(
        DESTROYS, touching(_operands(rest, "-dfiqxXe:n force interactive quiet exclude: dry-run"), PathUse.REMOVE)
    )


def _rebase(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    parsed = parse(
        rest,
        grammar("""-x:ipmMkqvnfrs:X:C:S? exec: interactive onto: continue abort skip quit edit-todo root autosquash
            no-autosquash autostash no-autostash keep-base force-rebase rebase-merges? strategy! strategy-option:
            signoff update-refs committer-date-is-author-date merge verbose quiet stat no-stat apply fork-point
            no-fork-point empty: keep-empty no-keep-empty no-ff whitespace: gpg-sign? no-verify verify"""),
    )
    texts = parsed.values("x", "exec")
    edits = (
        opaque("an editor is opened")
        if parsed.has("i", "interactive", "edit-todo", "s", "strategy") or parsed.unknown
        else NOTHING
    )
    return total(WRITES, edits, shelling(*texts) if texts else NOTHING)


def _archive(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    parsed = parse(
        rest,
        grammar(
            "-lv0123456789o> format: list prefix: output> add-file< add-virtual-file: remote: exec!"
            " worktree-attributes verbose mtime:"
        ),
    )
    if parsed.unknown or parsed.has("exec"):
        return opaque("git archive has an option that may run a program")
    return total(READS, touching(parsed.values("o", "output"), PathUse.WRITE), _reach(parsed.values("remote")))


def _making(rest: Sequence[Word], options: str, operands: int = 1) -> Verdict:
    """The first operand, if any counts, is a file or directory that is made."""
    parsed = parse(rest, grammar(options))
    made = touching(parsed.operands[:operands], PathUse.WRITE)
    return total(WRITES, made, of_options(parsed, strict=False, program="git"))


def _foreach(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    words = [word for word in rest if word.text not in ("--recursive", "--quiet", "-q")]
    return (
        shelling(Word(" ".join(word.text for word in words), all(word.literal for word in words))) if words else READS
    )


_SPECIAL = {
    "clone": _clone,
    "fetch": _fetch,
    "pull": _fetch,
    "push": _push,
    "branch": _branch,
    "tag": _tag,
    "remote": _remote,
    "remote.add": _remote_url,
    "remote.set-url": _remote_url,
    "config": _config,
    "checkout": _checkout,
    "switch": lambda invocation, rest: WRITES,
    "restore": _restore,
    "reset": lambda invocation, rest: WRITES,
    "rm": _remove,
    "clean": _clean,
    "rebase": _rebase,
    "archive": _archive,
    "init": lambda invocation, rest: _making(
        rest, "-qb: quiet bare template! separate-git-dir> initial-branch: shared?"
    ),
    "format-patch": lambda invocation, rest: _making(rest, "-o> output-directory> stdout", 0),
    "bundle.create": lambda invocation, rest: _making(rest, "-q quiet progress version:"),
    "worktree.add": lambda invocation, rest: _making(
        rest, "-fdb:B:q force detach checkout no-checkout orphan lock reason:"
    ),
    "submodule.foreach": _foreach,
    "bisect.run": lambda invocation, rest: total(WRITES, starting(invocation, rest)),
}
_TOOL = tool(_GLOBAL, _TABLE, _SPECIAL)

PROGRAMS: Programs = {
    "git": _git,
    "git-upload-pack": plain(
        "<",
        "-h strict no-strict timeout: stateless-rpc advertise-refs http-backend-info-refs",
        *READS.classes,
        strict=True,
    ),
    "git-upload-archive": plain("<", "", *READS.classes, strict=True),
    "git-receive-pack": plain(">", "-q quiet", *WRITES.classes, strict=True),
    "tig": plain(".*", "", *READS.classes),
    "gh": tool(
        "-R: repo: hostname:",
        """
        read: auth.status help version network: pr.list pr.view pr.status pr.checks pr.diff issue.list
        issue.view issue.status repo.view repo.list run.list run.view run.watch release.list release.view
        workflow.list workflow.view gist.list gist.view search.* status label.list secret.list variable.list
        cache.list network+write: pr.create pr.checkout pr.comment pr.edit pr.merge pr.review pr.ready
        pr.close pr.reopen issue.create issue.comment issue.edit issue.close issue.reopen repo.clone repo.fork
        repo.create repo.sync run.rerun run.cancel run.download release.create release.upload release.download
        release.edit workflow.run gist.create gist.edit destructive+network: repo.delete release.delete
        issue.delete gist.delete run.delete cache.delete secret.delete repo.archive label.delete
        privilege+network: auth.login auth.logout auth.token auth.refresh secret.set ssh-key.add
        repo.deploy-key.add opaque: api alias extension codespace browse
        """,
    ),
    "hg": tool(
        "-R:v q config!",
        """
        read: status log diff summary cat files identify id root branches tags heads annotate
        write: add commit init merge update mv copy
        network+write: pull clone
        network: incoming outgoing push
        destructive: revert strip purge remove rollback push:-f""",
    ),
    "svn": tool(
        "",
        """
        read: status info log diff cat list ls blame propget
        write: add mkdir copy move propset cleanup switch
        network+write: checkout co update up commit ci export import
        destructive: revert delete rm""",
    ),
}
