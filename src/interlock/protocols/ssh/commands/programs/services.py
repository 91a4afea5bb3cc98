"""Services and their logs: looking reads, starting and restarting writes, stopping takes something away from its users,
and what starts by itself later persists.
"""

from interlock.protocols.ssh.commands.invocation import CommandClass, Invocation, PathUse, Verdict
from interlock.protocols.ssh.commands.programs.options import grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Programs, of_options, plain
from interlock.protocols.ssh.commands.programs.subcommands import tool
from interlock.protocols.ssh.commands.programs.verdicts import (
    DESTROYS,
    READS,
    RULES,
    WRITES,
    opaque,
    total,
    touching,
)

_SYSTEMCTL = tool(
    """-aqlfrnsHt:p:P:M:n:o:i type: state: property: all reverse after before quiet no-block no-wall no-legend no-pager
    full failed user system global runtime force signal: kill-who: kill-whom: what: root: lines: output: firmware-setup
    now host@ machine: value show-types job-mode: plain wait no-ask-password recursive legend: with-dependencies
    check-inhibitors: preset-mode: marked""",
    """
    read: status show cat list-units list-unit-files list-timers list-sockets list-jobs list-dependencies list-machines
        is-active is-enabled is-failed is-system-running get-default show-environment help list-paths list-automounts
    write: start restart reload try-restart reload-or-restart try-reload-or-restart force-reload condrestart
        daemon-reload daemon-reexec reset-failed log-level freeze thaw service-log-level bind cancel
    destructive: stop kill isolate reboot poweroff halt kexec rescue emergency exit suspend hibernate hybrid-sleep
        soft-reboot switch-root suspend-then-hibernate default clean disable:--now mask:--now
    persistence: enable disable reenable preset preset-all mask unmask link revert add-wants add-requires set-default
        set-property set-environment unset-environment import-environment
    persistence+opaque: edit
    """,
)


def _service(invocation: Invocation) -> Verdict:
    """``service NAME ACTION``, and ``/etc/init.d`` by name."""
    words = [word.text for word in invocation.arguments if not word.text.startswith("--")]
    if any(word.text == "--status-all" for word in invocation.arguments):
        return READS
    action = words[1] if len(words) > 1 and all(word.literal for word in invocation.arguments[1:]) else ""
    if words and "/" in words[0]:
        return opaque("a service is named by a path")
    if action in ("status", "configtest", "show", "config", "check"):
        return READS
    if action in ("start", "restart", "reload", "force-reload", "try-restart", "condrestart", "graceful"):
        return WRITES
    return DESTROYS if action in ("stop", "zap", "kill") else opaque("what the service is told is not known")


def _journal(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-aefklmqrxu:t:p:n?o:S:U:b?D:F:Ng:M:c:T: unit: user-unit: since: until: priority: lines? output:
            boot? follow no-pager no-tail reverse grep: directory: file: disk-usage list-boots vacuum-size:
            vacuum-time: vacuum-files: rotate flush sync relinquish-var setup-keys update-catalog verify user
            system utc fields field: identifier: dmesg all full quiet catalog output-fields: root: cursor:
            after-cursor: machine: case-sensitive? no-hostname merge header facility: cursor-file>
            smart-relinquish-var force"""),
    )
    if parsed.has("vacuum-size", "vacuum-time", "vacuum-files"):
        return DESTROYS
    if parsed.has("rotate", "flush", "relinquish-var", "setup-keys", "update-catalog"):
        return WRITES
    return total(READS, of_options(parsed, strict=False, program="journalctl"))


def _kernel_log(invocation: Invocation) -> Verdict:
    parsed = parse(invocation.arguments, grammar("-CcDdEeF<f:HkLl:n:PprSs:TtuVwWx clear read-clear console-off file<"))
    return DESTROYS if parsed.has("C", "c", "clear", "read-clear") else READS


def _cron_like(invocation: Invocation) -> Verdict:
    return opaque("it runs jobs")


PROGRAMS: Programs = {
    "systemctl": _SYSTEMCTL,
    "service": _service,
    "invoke-rc.d": _service,
    "rc-service": _service,
    "journalctl": _journal,
    "dmesg": _kernel_log,
    "chkconfig": lambda invocation: (
        READS
        if not [w for w in invocation.arguments if w.text not in ("--list",)]
        else Verdict(frozenset({CommandClass.PERSISTENCE}))
    ),
    "update-rc.d": plain(".*", "", CommandClass.PERSISTENCE),
    "rc-update": plain(".*", "", CommandClass.PERSISTENCE),
    "initctl": tool("", "read: list status version\nwrite: start restart reload\ndestructive: stop"),
    "supervisorctl": tool(
        "-c<s:u:p:",
        """
        read: status pid tail avail maintail version help
        write: start restart update reread add signal clear reload
        destructive: stop remove shutdown""",
    ),
    "loginctl": tool(
        "-alp:n:o: no-pager no-legend property:",
        """
        read: list-sessions session-status show-session list-users user-status show-user list-seats
        seat-status show-seat write: activate lock-session unlock-session lock-sessions unlock-sessions attach
        persistence: enable-linger disable-linger destructive: terminate-session terminate-user terminate-seat
        kill-session kill-user
        """,
        bare=READS,
    ),
    "hostnamectl": tool(
        "-H@M: static transient pretty json: no-ask-password",
        """
        read: status show write: set-hostname hostname set-icon-name set-chassis set-deployment set-location
        chassis icon-name location
        """,
    ),
    "timedatectl": tool(
        "-H@M: no-ask-password no-pager",
        """
        read: status show list-timezones timesync-status show-timesync
        write: set-timezone set-time set-ntp set-local-rtc ntp-servers revert""",
    ),
    "localectl": tool(
        "no-pager",
        """
        read: status list-locales list-keymaps
        write: set-locale set-keymap set-x11-keymap""",
    ),
    "resolvectl": tool(
        "",
        """
        read: status statistics dns domain show-cache show-server-state
        network: query service openpgp tlsa
        write: flush-caches reset-statistics reset-server-features revert""",
    ),
    "busctl": tool(
        "-j user system no-pager list",
        "read: list status tree introspect get-property capture monitor\nopaque: call set-property emit",
    ),
    "machinectl": tool(
        "",
        """
            read: list status show list-images image-status
            destructive: poweroff terminate kill remove reboot
            opaque: shell login start enable
        """,
    ),
    "coredumpctl": tool("-n:r no-pager", "read: list info\nwrite: dump\nopaque: debug gdb"),
    "networkctl": tool("", "read: list status lldp\nwrite: up reload reconfigure renew\ndestructive: down delete"),
    "nmcli": tool(
        "-tf:gm:p:a fields: terse get-values: mode: colors: ask",
        """
        read: general.status general device.status device.show device.wifi.list connection.show
        networking.connectivity general.hostname device.list general.permissions radio device connection
        read: con con.show c c.show dev dev.status d dev.show d.show g
        write: con.up connection.up connection.reload device.connect device.reapply device.wifi.connect networking.on
        radio.wifi persistence: connection.modify connection.add connection.import connection.edit
        con.modify con.add con.mod
        destructive: con.delete con.del con.down dev.disconnect connection.delete connection.down device.disconnect
        networking.off device.delete
        """,
    ),
    "nginx": lambda invocation: _nginx(invocation),
    "apachectl": tool(
        "-tTSvVMl k:",
        """
        read: configtest status fullstatus
        write: start restart graceful
        destructive: stop graceful-stop""",
    ),
    **dict.fromkeys(
        ("a2ensite", "a2dissite", "a2enmod", "a2dismod", "a2enconf", "a2disconf"), plain(".*", "", CommandClass.WRITE)
    ),
    **dict.fromkeys(
        ("sshd", "haproxy", "named-checkconf", "named-checkzone", "postconf", "visudo", "httpd", "apache2"),
        lambda invocation: _checked(invocation),
    ),
    "pm2": tool(
        "-s name: i:",
        """
        read: list ls status l jlist prettylist show describe info logs monit env id pid
        write: restart reload reset flush scale
        persistence: save startup unstartup resurrect
        destructive: stop delete del kill
        opaque: start""",
    ),
    "logrotate": lambda invocation: (
        READS
        if any(word.text in ("-d", "--debug") for word in invocation.arguments)
        else opaque("scripts of logrotate run")
    ),
    "certbot": tool(
        "-nqd:m: nginx apache standalone webroot w: dry-run non-interactive agree-tos email: cert-name:",
        """
        read: certificates plugins
        network+write: certonly renew run install
        destructive: delete revoke
        opaque: renew:--pre-hook renew:--post-hook renew:--deploy-hook certonly:--pre-hook certonly:--deploy-hook
            certonly:--manual-auth-hook certonly:--post-hook""",
    ),
    "postqueue": plain(".*", "", CommandClass.READ),
    "mailq": plain(".*", "", CommandClass.READ),
    "postsuper": plain(".*", "", CommandClass.DESTRUCTIVE),
    "chronyc": tool(
        "-nah:", "read: tracking sources sourcestats activity ntpdata serverstats\nwrite: makestep burst online offline"
    ),
    "ntpq": plain(".*", "", CommandClass.READ),
    "rabbitmqctl": tool(
        "-n:qp:t:",
        """
        read: status list_* cluster_status report environment ping node_health_check
        write: start_app add_vhost set_policy
        privilege: add_user change_password set_permissions set_user_tags clear_password
        destructive: stop stop_app reset force_reset delete_* purge_queue forget_cluster_node
        opaque: eval""",
    ),
    "atrm": plain(".*", "", CommandClass.DESTRUCTIVE),
    **dict.fromkeys(("crond", "cron", "anacron", "run-parts"), _cron_like),
    **dict.fromkeys(
        ("shutdown", "reboot", "halt", "poweroff", "telinit", "init", "kexec"), lambda invocation: _power(invocation)
    ),
    "sync": plain(".*", "", CommandClass.READ),
}


def _nginx(invocation: Invocation) -> Verdict:
    parsed = parse(invocation.arguments, grammar("-vVtTqs:p!c!g!e>h"))
    if parsed.unknown or parsed.has("c", "g", "p"):
        return (
            total(of_options(parsed, strict=False, program="nginx"), opaque("nginx is given a configuration"))
            if not parsed.has("t", "T") or parsed.has("g", "p")
            else total(READS, touching(parsed.values("c"), PathUse.READ))
        )
    signals = [word.text for word in parsed.values("s")]
    if signals:
        return WRITES if signals[0] in ("reload", "reopen") else DESTROYS
    return READS if parsed.has("v", "V", "t", "T") else WRITES


def _checked(invocation: Invocation) -> Verdict:
    """Servers that are asked to check their configuration; started otherwise, or an editor."""
    if not invocation.arguments and invocation.program.text.startswith(("named-check", "post")):
        return READS
    asked = {word.text for word in invocation.arguments}
    if asked & {"-t", "-T", "-c", "-v", "-V", "-M", "-S", "-n", "--check", "-cf", "--version"} and not asked & {"-e"}:
        files = [word for word in invocation.arguments if not word.text.startswith("-")]
        return total(READS, touching(files, PathUse.READ))
    if invocation.program.text.startswith("named-check"):
        return total(READS, touching(invocation.arguments, PathUse.READ))
    return total(RULES, opaque(f"{invocation.program.text} is started or edits its configuration"))


def _power(invocation: Invocation) -> Verdict:
    cancels = [word.text for word in invocation.arguments] == ["-c"]
    return WRITES if cancels else DESTROYS
