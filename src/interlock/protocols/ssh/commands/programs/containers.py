"""Containers, clusters and clouds by their command-line tools: what is looked at, changed, removed, and run inside."""

import re
from collections.abc import Sequence

from interlock.protocols.ssh.commands.invocation import Invocation, PathUse, Verdict, Word
from interlock.protocols.ssh.commands.programs import hosts
from interlock.protocols.ssh.commands.programs.options import Parsed, grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Judge, Programs, of_options
from interlock.protocols.ssh.commands.programs.subcommands import Rule, tool
from interlock.protocols.ssh.commands.programs.verdicts import (
    CONTACTS,
    DESTROYS,
    NOTHING,
    READS,
    RULES,
    WRITES,
    contacting,
    opaque,
    starting,
    total,
    touching,
)

_RUN = """-aditPqe:h:l:m:p:u:v:w:c: add-host: annotation: attach: blkio-weight: cap-add: cap-drop: cgroup-parent:
    cgroupns: cidfile> cpus: cpu-shares: cpuset-cpus: cpuset-mems: cpu-period: cpu-quota: detach detach-keys:
    device: disable-content-trust dns: dns-search: domainname: entrypoint: env: env-file< expose: gpus:
    group-add: health-cmd: health-interval: health-retries: health-timeout: hostname: init interactive ip:
    ipc: isolation: label: label-file< link: log-driver: log-opt: memory: memory-swap: memory-reservation:
    mount: name: network: net: network-alias: no-healthcheck oom-kill-disable oom-score-adj: pid: pids-limit:
    platform: privileged publish: publish-all pull: quiet read-only restart: rm runtime: security-opt:
    shm-size: sig-proxy? stop-signal: stop-timeout: storage-opt: sysctl: tmpfs: tty ulimit: user: userns: uts:
    volume: volume-driver: volumes-from: workdir: replace pod: systemd: index: T no-deps service-ports
    use-aliases build no-TTY"""
_HARMLESS_MOUNTS = re.compile(
    r"(?!/|~|\.\.)[\w.-]*(?::.*)?|\./?.*|/(?:srv|data|opt|mnt|tmp|home|var/lib|var/data|var/www|workspace|app)/.*"
)


_OFFICIAL = re.compile(r"(?:docker\.io/)?(?:library/)?[a-z0-9-]+(?::[\w.-]+)?(?:@sha256:\w+)?")
"""Images that the registry itself answers for, as it does for packages of a distribution."""


def _run(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    """A new container runs what its image says; with the host's file system or rights it is no boundary."""
    parsed = parse(rest, grammar(_RUN, in_order=True))
    if parsed.unknown:
        return opaque("an option of the container is not known")
    image, words = parsed.operands[:1], parsed.operands[1:]
    if not image or not image[0].literal:
        return opaque("which image is run is not known")
    entry = parsed.values("entrypoint")
    started = starting(invocation, [*entry[:1], *words]) if entry or words else NOTHING
    escaping = _escapes(parsed)
    known = _OFFICIAL.fullmatch(image[0].text) and not escaping.classes
    foreign = NOTHING if known else opaque("an image runs code of whoever made it")
    files = touching(parsed.values("env-file"), PathUse.READ)
    return total(WRITES, escaping, started, foreign, files, _mounted(parsed))


def _sources(volumes: Sequence[Word], mounts: Sequence[Word]) -> list[str]:
    named = [word.text.partition(":")[0] for word in volumes]
    return named + [found[1] for word in mounts if (found := re.search(r"(?:src|source)=([^,]*)", word.text))]


def _mounted(parsed: Parsed) -> Verdict:
    """Directories of the host are within reach of whatever runs inside."""
    sources = _sources(parsed.values("v", "volume"), parsed.values("mount"))
    paths = [Word(source) for source in sources if source.startswith(("/", ".", "~"))]
    return touching(paths, PathUse.WRITE, harmless=True)


def _escapes(parsed: Parsed) -> Verdict:
    """Rights over the host, or its file system."""
    volumes, mounts = parsed.values("v", "volume"), parsed.values("mount")
    rights = parsed.has("privileged", "cap-add", "device", "security-opt", "volumes-from") or any(
        word.text == "host" or not word.literal
        for word in parsed.values("pid", "net", "network", "userns", "ipc", "uts", "cgroupns")
    )
    sources = _sources(volumes, mounts)
    outside = [source for source in sources if not _HARMLESS_MOUNTS.fullmatch(source)]
    return RULES if rights or outside else NOTHING


def _execute(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    """Inside of a container that runs already: what is started there, judged as if it were started here."""
    parsed = parse(rest, grammar(_RUN, in_order=True))
    if parsed.unknown:
        return opaque("an option is not known")
    rights = (
        RULES
        if parsed.has("privileged") or any(word.text in ("0", "root") for word in parsed.values("u", "user"))
        else NOTHING
    )
    words = parsed.operands[1:]
    return total(rights, starting(invocation, words) if words else opaque("what is run inside is not known"))


def _image_host(words: Sequence[Word]) -> Verdict:
    named = [word for word in words if not word.text.startswith("-")][-1:]
    verdicts = []
    for word in named:
        first, slash, _ = word.text.partition("/")
        registry = first if slash and re.search(r"[.:]|^localhost$", first) else "docker.io"
        verdicts.append(contacting([(word, hosts.of_address(registry))]))
    return total(*verdicts)


def _pull(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    return total(WRITES, CONTACTS, _image_host(rest))


def _push(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    return total(CONTACTS, _image_host(rest))


def _copy(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    """``docker cp`` and ``kubectl cp``: one side is a container."""
    operands = parse(
        rest, grammar("-aLqn:c: archive follow-link quiet namespace: container: no-preserve retries:")
    ).operands
    local = [word for word in operands if ":" not in word.text]
    target = [word for word in operands[-1:] if word in local]
    return total(
        WRITES, touching([word for word in local if word not in target], PathUse.READ), touching(target, PathUse.WRITE)
    )


def _build(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    """Runs the steps of the project, as build tools do; from elsewhere those are somebody else's."""
    parsed = parse(
        rest,
        grammar("""-t:f<qo:c:m: tag: file< build-arg: no-cache pull quiet target: platform: label: progress: network: rm
        force-rm cache-from: cache-to: secret: ssh: output: push load iidfile> metadata-file> add-host:
        builder: squash memory: cpuset-cpus: ulimit: shm-size: compress isolation: allow:"""),
    )
    elsewhere = [
        word for word in parsed.operands if "://" in word.text or word.text.startswith("git@") or word.text == "-"
    ]
    pushes = CONTACTS if parsed.has("push") else NOTHING
    return total(
        WRITES,
        pushes,
        of_options(parsed, strict=False, program="docker"),
        opaque("what is built comes from elsewhere")
        if elsewhere or not all(w.literal for w in parsed.operands)
        else NOTHING,
    )


def _save(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    outputs = parse(rest, grammar("-o: output: platform: format:")).values("o", "output")
    return total(WRITES, touching(outputs, PathUse.WRITE))


_DOCKER_SPECIAL: dict[str, Rule] = {
    "run": _run,
    "container.run": _run,
    "create": _run,
    "container.create": _run,
    "exec": _execute,
    "container.exec": _execute,
    "compose.exec": _execute,
    "compose.run": _execute,
    "cp": _copy,
    "container.cp": _copy,
    "compose.cp": _copy,
    "pull": _pull,
    "image.pull": _pull,
    **dict.fromkeys(("save", "image.save", "export", "container.export"), _save),
    "push": _push,
    "image.push": _push,
    "build": _build,
    "image.build": _build,
    "buildx.build": _build,
    "builder.build": _build,
}
_DOCKER = tool(
    """-Dc:H@l:f<p: config! context: debug host@ log-level: tls tlscacert< tlscert< tlskey< tlsverify file<
    project-name: profile: env-file< project-directory: ansi: compatibility progress: parallel: dry-run
    all-resources root! runroot! storage-driver: remote url@ connection: cgroup-manager: noout""",
    """
    read: ps images logs inspect stats top port diff version info history events wait container.ls
    container.list container.ps container.logs container.inspect container.stats container.top container.port
    container.diff container.wait image.ls image.list image.inspect image.history volume.ls volume.list
    volume.inspect network.ls network.list network.inspect system.df system.info system.events context.ls
    context.list context.inspect context.show compose.ps compose.logs compose.config compose.images
    compose.top compose.ls compose.port compose.version compose.events compose.stats compose.volumes
    compose.convert service.ls service.ps service.logs service.inspect node.ls node.inspect node.ps stack.ls
    stack.ps stack.services secret.ls secret.inspect config.ls config.inspect buildx.ls buildx.inspect
    buildx.du plugin.ls plugin.inspect builder.du manifest.inspect pod.ps pod.list pod.inspect pod.logs
    healthcheck swarm.unlock-key machine.list scout.quickview network: search image.search write: start
    restart unpause pause rename tag commit save load import export update container.start container.restart
    container.pause container.unpause container.rename container.commit container.export container.update
    image.tag image.save image.load image.import volume.create network.create network.connect
    network.disconnect compose.up compose.start compose.restart compose.build compose.create compose.pause
    compose.unpause compose.watch compose.scale service.create service.update service.scale service.rollback
    stack.deploy secret.create config.create context.use context.create node.update buildx.use buildx.create
    pod.create pod.start pod.restart network+write: compose.pull compose.push plugin.install destructive: rm
    rmi kill stop container.rm container.kill container.stop container.prune image.rm image.prune image.remove
    container.remove volume.rm volume.remove volume.prune network.rm network.remove network.prune system.prune
    builder.prune buildx.prune buildx.rm compose.down compose.rm compose.kill compose.stop service.rm stack.rm
    secret.rm config.rm node.rm swarm.leave context.rm pod.rm pod.stop pod.kill pod.prune system.reset
    compose.up:--remove-orphans privilege+network: login privilege: logout swarm.init swarm.join swarm.update
    opaque: attach container.attach plugin.enable plugin.create trust checkpoint
    """,
    _DOCKER_SPECIAL,
)
_COMPOSE = tool(
    "-f<p:v file< project-name: profile: env-file< project-directory: ansi: verbose"
    " no-ansi host: compatibility progress:",
    """
    read: ps logs config images top ls port version events stats help
    write: up start restart build create pause unpause scale watch
    network+write: pull push
    destructive: down rm kill stop
    """,
    {"exec": _execute, "run": _execute, "cp": _copy},
)

_KUBECTL_OPTIONS = """-n:s@l:f<o:Av:wc:RLk: namespace: context: cluster: user: kubeconfig! server@ token: as! as-group!
    as-uid! selector: request-timeout: all-namespaces output: field-selector: sort-by: container:
    certificate-authority< client-key< client-certificate< insecure-skip-tls-verify filename< watch
    show-labels no-headers"""


def _kubectl_exec(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    parsed = parse(
        rest,
        grammar(
            "-itqc:n:f: stdin tty quiet container: namespace: context: pod-running-timeout: kubeconfig:", in_order=True
        ),
    )
    # ``kubectl exec POD [options] -- program``
    words = list(parsed.operands[1:])
    divider = next((at for at, word in enumerate(words) if word.text == "--"), None)
    started = words[divider + 1 :] if divider is not None else words
    if parsed.unknown or not started or started[0].text.startswith("-"):
        return opaque("what is run inside is not known")
    return starting(invocation, started)


def _kubectl_apply(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    """Resources from files of one's own; from an address they are somebody else's."""
    files = parse(
        rest,
        grammar(
            "-f:k:n:Rl:o: filename: kustomize: namespace: dry-run? prune force recursive server-side context:"
            " selector: all wait timeout: overwrite record output: validate?"
        ),
    )
    given = files.values("f", "filename", "k", "kustomize")
    elsewhere = [word for word in given if "://" in word.text or "github.com" in word.text]
    reached = contacting([(word, hosts.of_url(word.text)) for word in elsewhere]) if elsewhere else NOTHING
    gone = DESTROYS if files.has("prune", "force") else NOTHING
    return total(
        READS if files.has("dry-run") else WRITES,
        gone,
        reached,
        opaque("resources from elsewhere run code") if elsewhere else NOTHING,
        touching([word for word in given if word not in elsewhere], PathUse.READ),
        touching(_contents(rest), PathUse.READ),
    )


def _contents(rest: Sequence[Word]) -> list[Word]:
    """Files that a configuration or a secret is made from: ``--from-file=name=path``."""
    given = [word for word in rest if re.match(r"--from-(?:env-)?file=", word.text)]
    return [Word(word.text.rpartition("=")[2], word.literal) for word in given]


_KUBECTL = tool(
    _KUBECTL_OPTIONS,
    """
    read: get describe logs top version explain api-resources api-versions cluster-info config.view
    config.get-contexts config.current-context config.get-clusters config.get-users auth.can-i auth.whoami
    rollout.status rollout.history diff events wait cluster-info.dump options kustomize plugin.list krew.list
    certificate.list write: scale autoscale label annotate set.* rollout.restart rollout.undo rollout.pause
    rollout.resume expose cordon uncordon patch config.use-context config.set-context config.use
    config.rename-context create config.set destructive: delete drain replace:--force taint rollout.cancel
    config.delete-context config.delete-cluster write: replace privilege: create.clusterrolebinding
    create.rolebinding create.clusterrole create.role certificate.approve certificate.deny auth.reconcile
    config.set-credentials create.serviceaccount create.token
    persistence+write: create.cronjob write: create.* opaque: run attach debug edit
    proxy port-forward krew.install plugin
    """,
    {"exec": _kubectl_exec, "cp": _copy, "apply": _kubectl_apply, "create": _kubectl_apply}
    | dict.fromkeys(("create.secret", "create.configmap"), _kubectl_apply),
)


def _kubectl(invocation: Invocation) -> Verdict:
    """Whose cluster it is and who asks may be told anywhere; what is scaled to nothing is stopped."""
    texts = [word.text for word in invocation.arguments]
    own = texts[: texts.index("--")] if "--" in texts else texts
    posing = [text for text in own if re.match(r"--(?:kubeconfig|as|as-group|as-uid|server)(?:=|$)", text)]
    stopped = re.search(r"--replicas[= ]0+(?: |$)", " ".join(own))
    return total(
        _KUBECTL(invocation),
        opaque(f"kubectl {posing[0].partition('=')[0]} makes it another cluster or somebody else")
        if posing
        else NOTHING,
        DESTROYS if stopped else NOTHING,
    )


_HELM = tool(
    "-n:a namespace: kube-context: kubeconfig! kube-as-user! kube-apiserver@ debug registry-config: repository-config:"
    " repository-cache:",
    """
    read: list ls status history get get.* show show.* template lint version env search search.* repo.list
    dependency.list plugin.list verify write: rollback package create test network+write: install upgrade
    repo.add repo.update pull dependency.update dependency.build dep.update push registry.login fetch
    destructive: uninstall delete un repo.remove plugin.uninstall opaque: plugin.install
    install:--post-renderer upgrade:--post-renderer template:--post-renderer
    """,
)

_ELSEWHERE = re.compile(r"/(?:tmp|var/tmp|dev)/.*|\w+://.*")


def _described(judge: Judge, *, reads_input: bool = True) -> Judge:
    """What is described by a file that anybody may have written is not known, nor is what comes in."""

    def judged(invocation: Invocation) -> Verdict:
        words = [Word(part) for word in invocation.arguments for part in word.text.split("=", 1)]
        options = ("-f", "--file", "--filename", "--kubeconfig", "-k", "--kustomize")
        files = [words[at + 1].text for at, word in enumerate(words[:-1]) if word.text in options]
        found = any(_ELSEWHERE.fullmatch(file) or (file == "-" and not reads_input) for file in files)
        return total(judge(invocation), opaque("what it is told is described elsewhere") if found else NOTHING)

    return judged


PROGRAMS: Programs = {
    **dict.fromkeys(("docker", "podman", "nerdctl"), _described(_DOCKER, reads_input=False)),
    **dict.fromkeys(("docker-compose", "podman-compose"), _described(_COMPOSE, reads_input=False)),
    **dict.fromkeys(("kubectl", "oc", "k3s-kubectl", "microk8s.kubectl"), _described(_kubectl)),
    "helm": _HELM,
    "crictl": tool(
        "-r:i:D",
        """
        read: ps images inspect inspecti inspectp logs pods stats version info imagefsinfo statsp
        network+write: pull
        write: start create
        destructive: stop rm rmi rmp stopp
        """,
        {"exec": _execute},
    ),
    "ctr": tool(
        "-n:a: namespace: address:",
        """
            read: images.ls containers.ls tasks.ls version namespaces.ls c.ls i.ls t.ls
            destructive: containers.rm images.rm tasks.kill
        """,
    ),
    "skopeo": tool("", "network: inspect list-tags\nnetwork+write: copy sync\ndestructive: delete\nprivilege: login"),
    "minikube": tool("-p:", "read: status ip profile version logs\nwrite: start pause\ndestructive: delete stop"),
    "kind": tool("", "read: get version\nwrite: create load\ndestructive: delete"),
    "kustomize": tool("", "read: build version"),
    "lxc": tool(
        "",
        """
            read: list info config.show version image.list network.list
            write: start restart
            destructive: stop delete
            opaque: exec launch init file config
        """,
    ),
    "argocd": tool(
        "",
        """
            network: app.list app.get app.diff app.history cluster.list version
            network+write: app.sync
            destructive+network: app.delete app.rollback
        """,
    ),
    "flux": tool(
        "-n: namespace:",
        """
            read: get logs check version tree events stats
            write: reconcile suspend resume
            destructive: delete uninstall
        """,
    ),
    "istioctl": tool(
        "-n:",
        "read: version analyze proxy-status ps proxy-config describe\nwrite: install upgrade\ndestructive: uninstall",
    ),
    "eksctl": tool("", "read: get version\nwrite: create scale upgrade\ndestructive: delete drain"),
    "kubectx": lambda invocation: WRITES if invocation.arguments else READS,
    "kubens": lambda invocation: WRITES if invocation.arguments else READS,
    "stern": lambda invocation: READS,
    "k9s": lambda invocation: opaque("k9s is told what to do while it runs"),
}
