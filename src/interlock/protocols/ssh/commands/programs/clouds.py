"""Clouds, provisioning and virtual machines by their command-line tools. Looking something up there reads, though it
asks a service: which account that is, is set on the host.
"""

import re
from collections.abc import Sequence

from interlock.protocols.ssh.commands.invocation import Invocation, PathUse, Verdict, Word
from interlock.protocols.ssh.commands.programs.options import grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Programs
from interlock.protocols.ssh.commands.programs.subcommands import tool
from interlock.protocols.ssh.commands.programs.verdicts import (
    CONTACTS,
    DESTROYS,
    NOTHING,
    READS,
    RULES,
    WRITES,
    opaque,
    total,
    touching,
)

_TERRAFORM_TABLE = """
    read: show plan output validate version providers graph state.list state.show state.pull workspace.list
    workspace.show fmt:-check metadata write: apply import fmt workspace.new workspace.select refresh state.mv
    untaint taint test network+write: init get destructive: destroy state.rm state.push workspace.delete
    force-unlock apply:-destroy privilege: login logout opaque: console
    """


def _plan(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    """Says what would change, and keeps it with ``-out``."""
    kept = [Word(re.sub(r"^--?out=", "", word.text), word.literal) for word in rest if re.match(r"--?out=", word.text)]
    return total(READS, touching(kept, PathUse.WRITE))


_TERRAFORM = tool("-v chdir:", _TERRAFORM_TABLE, {"plan": _plan}, single_dash=True)


_AWS_OPTIONS = """profile: region: output: query: endpoint-url@ no-cli-pager no-paginate debug no-verify-ssl color:
    ca-bundle< cli-read-timeout: cli-connect-timeout: no-sign-request no-cli-auto-prompt cli-binary-format:"""


def _bucket(invocation: Invocation, rest: Sequence[Word]) -> Verdict:
    """``aws s3 cp``: files here, and objects there."""
    parsed = parse(
        rest,
        grammar(
            f"""{_AWS_OPTIONS} exclude: include: acl: storage-class: sse: sse-kms-key-id: content-type: cache-control:
            metadata: grants: expires: only-show-errors recursive delete dryrun quiet"""
        ),
    )
    local = [word for word in parsed.operands if not word.text.startswith("s3://")]
    target = [word for word in parsed.operands[-1:] if word in local]
    read = touching([word for word in local if word not in target], PathUse.READ)
    return total(CONTACTS, WRITES, read, touching(target, PathUse.WRITE))


_AWS = tool(
    _AWS_OPTIONS,
    """
    read: s3.ls configure.list sts.get-caller-identity *.describe-* *.list-* *.get-* *.filter-* *.batch-get-*
    *.search* *.lookup-* *.scan *.query *.head-* *.check-* *.validate-* *.simulate-* *.estimate-* *.wait
    *.preview-* logs.tail help *.help *.select-* *.detect-* configure.get ecr.get-login-password
    network+write: s3.cp s3.sync s3api.get-object s3api.put-object destructive: s3.rm s3.rb s3.mv
    s3.sync:--delete *.delete-* *.terminate-* *.stop-* *.deregister-* *.remove-* *.purge-* *.destroy-*
    *.batch-delete-* *.cancel-* *.disable-* *.revoke-* *.release-* *.detach-* *.disassociate-* *.reboot-*
    *.abort-* *.schedule-key-deletion ec2.modify-snapshot-attribute privilege: iam.* sts.assume-role*
    configure configure.set configure.sso sso.login organizations.* kms.create-grant
    secretsmanager.get-secret-value ssm.get-parameter* s3api.put-bucket-policy s3api.put-bucket-acl
    ec2.authorize-* lambda.add-permission *.put-*-policy *.attach-*-policy opaque: ssm.send-command
    ssm.start-session lambda.invoke lambda.create-function lambda.update-function-code ecs.execute-command
    ec2-instance-connect.* cloudformation.execute-change-set write: s3.mb *.create-* *.update-* *.put-*
    *.start-* *.run-* *.tag-* *.untag-* *.modify-* *.register-* *.set-* *.add-* *.attach-* *.associate-*
    *.enable-* *.copy-* *.import-* *.export-* *.restore-* *.publish* *.send-* *.invoke* *.deploy* *.reset-*
    *.change-* *.upload-* *.allocate-* *.request-* *.batch-write-* *.test-* eks.update-kubeconfig s3.website
    s3.presign *.generate-*
    """,
    {"s3.cp": _bucket, "s3.sync": _bucket},
)


def _by_verb(invocation: Invocation) -> Verdict:
    """``gcloud`` and ``az``: nouns, then a verb that says what is done."""
    words = []
    for word in invocation.arguments:
        if word.text.startswith("-"):
            break
        words.append(word)
    options = [word.text.partition("=")[0] for word in invocation.arguments]
    if not words:
        return (
            READS
            if len(options) == 1 and options[0] in ("--version", "version", "--help")
            else opaque("an option stands in front")
        )
    if options[-1] == "--help":
        return READS
    if not all(word.literal for word in words):
        return opaque("which sub-command it is is not known")
    if "--flags-file" in options or any(option.startswith("--impersonate") for option in options):
        return total(RULES, opaque("its options are elsewhere"))
    return _verb([word.text for word in words])


_ASKING = re.compile(
    r"list(?:-.*)?|describe(?:-.*)?|show(?:-.*)?|get-value|get(?:-.*)?|info|version|status|exists|read|help|topic|check-.*|tail|wait"
)


_REMOVING = re.compile(
    r"delete(?:-.*)?|remove(?:-.*)?|destroy|stop|deallocate|purge|reset|terminate|cancel|disable|deprovision|revoke|rm|rb|undelete|abandon-.*|kill|restart|clear|drop"
)


_GRANTING = re.compile(
    r".*iam-policy.*|login|logout|set-password|role|auth|keys|service-accounts|ad|keyvault|secret|secrets|firewall-rules|add-iam.*|configure-docker"
)


_RUNNING = re.compile(
    r"ssh|scp|run-command|invoke|call|execute.*|start-iap-tunnel|connect.*|bastion|rest|interactive|extension|deploy|functions|exec|submit"
)


_CHANGING = re.compile(
    r"create(?:-.*)?|update(?:-.*)?|set(?:-.*)?|add(?:-.*)?|start|resize|enable|apply|import|export|move|copy|cp|sync|upload.*|download.*|patch|tag|activate|attach.*|detach.*|rename|scale|rollback|mb|resume|restore|publish|login|rolling-action|promote|clone"
)


def _verb(words: Sequence[str]) -> Verdict:
    """The first word that is a verb decides; what follows it are names."""
    granting = RULES if any(_GRANTING.fullmatch(word) for word in words) else NOTHING
    for word in words[1:] or words:
        if _RUNNING.fullmatch(word):
            return total(granting, opaque(f"{word} runs something over there"))
        if _ASKING.fullmatch(word):
            secrets = (
                granting
                if any(each in ("secrets", "secret", "keyvault") for each in words) and "list" not in word
                else NOTHING
            )
            return total(READS, secrets if "access" in words else NOTHING)
        if _REMOVING.fullmatch(word):
            return total(DESTROYS, granting)
        if _CHANGING.fullmatch(word):
            sends = (
                CONTACTS if word in ("cp", "sync", "upload", "download", "upload-batch", "download-batch") else NOTHING
            )
            return total(WRITES, granting, sends)
    if words[0] in ("version", "info", "help"):
        return READS
    return total(granting, opaque("a sub-command that is not known"))


PROGRAMS: Programs = {
    **dict.fromkeys(("terraform", "tofu", "terragrunt"), _TERRAFORM),
    "aws": _AWS,
    "gcloud": _by_verb,
    "az": _by_verb,
    "doctl": _by_verb,
    "oci": _by_verb,
    "gsutil": tool(
        "-mqDo:h:",
        """
        read: ls cat du stat version help hash
        network+write: cp rsync
        write: mb compose
        destructive: rm rb mv rsync:-d
        privilege: acl iam defacl config""",
    ),
    "vault": tool(
        "address@ namespace:",
        """
        read: status version list path-help
        privilege: read kv.get kv.list login token.* policy.* auth.* operator.* write kv.put
        destructive: delete kv.delete kv.destroy secrets.disable lease.revoke token.revoke""",
        single_dash=True,
    ),
    "consul": tool(
        "",
        """
            read: members info catalog.services catalog.nodes kv.get version
            write: kv.put reload
            destructive: kv.delete leave force-leave
            opaque: exec lock watch
        """,
        single_dash=True,
    ),
    "nomad": tool(
        "",
        """
            read: status job.status node.status alloc.status alloc.logs server.members version
            write: job.run job.plan run plan
            destructive: job.stop stop system.gc
            opaque: alloc.exec
        """,
        single_dash=True,
    ),
    "ansible-playbook": lambda invocation: (
        opaque("a playbook runs tasks on other hosts")
        if not any(word.text in ("--syntax-check", "--list-tasks", "--list-hosts") for word in invocation.arguments)
        else READS
    ),
    "ansible-inventory": lambda invocation: READS,
    "ansible-doc": lambda invocation: READS,
    "ansible-lint": lambda invocation: READS,
    "ansible-galaxy": tool(
        "", "read: list info search\nnetwork+write: install collection.install role.install\nwrite: init"
    ),
    "vagrant": tool(
        "",
        """
            read: status global-status version box.list port ssh-config validate
            write: up reload resume suspend snapshot.save
            destructive: destroy halt box.remove
            opaque: ssh provision
        """,
    ),
    "virsh": tool(
        "-c@ connect@",
        """
        read: list dominfo dumpxml domstate nodeinfo net-list pool-list vol-list version capabilities
        domblklist domiflist snapshot-list write: start resume reboot suspend define autostart snapshot-create
        snapshot-create-as save restore net-start pool-start destructive: destroy undefine shutdown vol-delete
        pool-destroy net-destroy snapshot-delete pool-delete opaque: console edit qemu-monitor-command
        qemu-agent-command
        """,
    ),
    "multipass": tool(
        "", "read: list info version\nwrite: start\ndestructive: stop delete purge\nopaque: exec shell launch"
    ),
    "packer": tool("", "read: validate inspect version\nwrite: fmt\nnetwork+write: init\nopaque: build"),
    "pulumi": tool(
        "",
        "read: preview stack stack.ls version config whoami\nwrite: up refresh\ndestructive: destroy cancel stack.rm",
    ),
    "serverless": tool("", "read: info logs print\nnetwork+write: deploy\ndestructive: remove\nopaque: invoke"),
    "heroku": tool(
        "-a: app:",
        """
            network: logs ps apps config releases status
            network+write: restart
            destructive+network: apps.destroy pg.reset
            opaque: run ps.exec
        """,
    ),
    "wrangler": tool("", "network: whoami tail deployments\nnetwork+write: deploy publish\nopaque: dev"),
}
