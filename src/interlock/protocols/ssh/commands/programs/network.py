"""Programs that talk to other hosts: which hosts, what is written here, and what they would run."""

import re
from collections.abc import Sequence

from interlock.protocols.ssh.commands.invocation import CommandClass, Input, Invocation, PathUse, Verdict, Word
from interlock.protocols.ssh.commands.programs import hosts
from interlock.protocols.ssh.commands.programs.options import Parsed, grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Judge, Programs, of_options, plain
from interlock.protocols.ssh.commands.programs.verdicts import (
    CONTACTS,
    DESTROYS,
    NOTHING,
    READS,
    WRITES,
    contacting,
    opaque,
    total,
    touching,
)

_READ, _NETWORK, _OPAQUE = CommandClass.READ, CommandClass.NETWORK, CommandClass.OPAQUE

_CURL = grammar(
    """-0123469#:aA:b:BC:c>d:D>e:E<fF:gGhH:iIjJkK!lLm:MnNo>OpP:qQ:rRsSt:T<u:U:vVw:x@X:Y:y:zZ abstract-unix-socket:
    alt-svc: anyauth append aws-sigv4: basic ca-native cacert< capath< cert< cert-type: ciphers: compressed
    compressed-ssh config! connect-timeout: connect-to: continue-at: cookie: cookie-jar> create-dirs
    create-file-mode: crlf data: data-ascii: data-binary: data-raw: data-urlencode: delegation: digest disable
    dns-servers! doh-url@ dump-header> egd-file: engine! etag-compare< etag-save> expect100-timeout: fail
    fail-early fail-with-body false-start form: form-escape form-string: ftp-account: ftp-create-dirs ftp-method:
    ftp-pasv ftp-port: get globoff happy-eyeballs-timeout-ms: haproxy-protocol head header: hostpubmd5: hsts: http0.9
    http1.0 http1.1 http2 http2-prior-knowledge http3 ignore-content-length include insecure interface: ipv4 ipv6
    json: junk-session-cookies keepalive-time: key< key-type: krb: libcurl> limit-rate: list-only local-port:
    location location-trusted login-options: mail-auth: mail-from: mail-rcpt: max-filesize: max-redirs: max-time:
    metalink negotiate netrc netrc-file< netrc-optional next no-alpn no-buffer no-clobber no-keepalive no-npn
    no-progress-meter no-sessionid noproxy: ntlm oauth2-bearer: output> output-dir> parallel parallel-immediate
    parallel-max: pass: path-as-is pinnedpubkey: post301 post302 post303 preproxy@ progress-bar proto: proto-default:
    proto-redir: proxy@ proxy-user: proxy-header: proxy-insecure proxytunnel pubkey< quote: random-file: range: rate:
    raw referer: remote-header-name remote-name remote-name-all remote-time remove-on-error request:
    request-target: resolve: retry: retry-all-errors retry-connrefused retry-delay: retry-max-time: show-error silent
    socks4@ socks4a@ socks5@ socks5-hostname@ speed-limit: speed-time: ssl ssl-reqd stderr> styled-output
    tcp-fastopen tcp-nodelay telnet-option: tftp-blksize: time-cond: tls-max: tlsv1 tlsv1.0 tlsv1.1 tlsv1.2 tlsv1.3
    trace> trace-ascii> trace-time trace-config: unix-socket: upload-file< url: url-query: use-ascii user:
    user-agent: variable: verbose write-out: xattr no-silent doh-insecure sslv2 sslv3 tr-encoding no-verbose
    no-location"""
)


def _curl(invocation: Invocation) -> Verdict:
    parsed = parse(invocation.arguments, _CURL)
    if parsed.informs or parsed.has("V"):
        return READS
    urls = [*parsed.operands, *parsed.values("url")]
    told = of_options(parsed, strict=True, program="curl")
    return total(told, _urls(urls), _redirected(parsed), _curl_files(parsed, urls), _method(parsed))


def _urls(urls: Sequence[Word]) -> Verdict:
    """Hosts of URLs; ``file:`` ones are files."""
    local = [word for word in urls if word.literal and word.text.lower().startswith("file:")]
    remote = [word for word in urls if word not in local]
    paths = [Word(re.sub(r"^file:(?://(?:localhost|127\.0\.0\.1)?)?", "", word.text, flags=re.I)) for word in local]
    return total(CONTACTS, touching(paths, PathUse.READ), contacting([(url, _host_of(url)) for url in remote]))


def _host_of(url: Word) -> str | None:
    """The host of a URL; None when it is a pattern of several (``{a,b}``, ``[1-9]``)."""
    authority = re.split(r"[/?#]", re.sub(r"^[A-Za-z][\w+.-]*://", "", url.text), maxsplit=1)[0]
    if (
        "{" in authority
        or re.search(r"\[(?![0-9A-Fa-f:.]+(?:%[\w.]*)?\])", authority)
        or re.search(r"\[\d+-", authority)
    ):
        return None
    return hosts.of_url(url.text)


def _redirected(parsed: Parsed) -> Verdict:
    """``--resolve`` and ``--connect-to`` name other hosts for the one in the URL; a socket is none."""
    reached = [word.text.split(":", 2)[-1] for word in parsed.values("connect-to", "resolve")]
    named = [(Word(text), hosts.of_address(re.sub(r":\d+$", "", text))) for text in reached if text.strip(":")]
    sockets = touching(parsed.values("unix-socket"), PathUse.WRITE)
    return total(contacting(named) if named else NOTHING, sockets)


def _curl_files(parsed: Parsed, urls: Sequence[Word]) -> Verdict:
    """Files that are sent (``@file``), and those that ``-O`` names after the URL."""
    sent = [
        Word(_after_at(word.text), word.literal)
        for word in parsed.values(
            "d",
            "data",
            "data-ascii",
            "data-binary",
            "data-urlencode",
            "json",
            "F",
            "form",
            "H",
            "header",
            "w",
            "write-out",
            "b",
            "cookie",
            "variable",
        )
        if re.match(r"(?:[^=@]*=)?[@<]", word.text) and _after_at(word.text) != "-"
    ]
    sent += [
        Word(word.text.partition("@")[2], word.literal)
        for word in parsed.values("data-urlencode")
        if re.match(r"[^=@<]+@", word.text)
    ]
    sent += [word for word in parsed.values("b", "cookie") if "=" not in word.text and not word.text.startswith("@")]
    names = parsed.has("O", "remote-name", "remote-name-all")
    saved = [
        Word(f"./{url.text.rstrip('/').rpartition('/')[2].partition('?')[0]}", url.literal) for url in urls if names
    ]
    written = re.compile(r"%output\{")
    outputs = (
        opaque("curl writes where --write-out says")
        if any(written.search(word.text) for word in parsed.values("w", "write-out"))
        else NOTHING
    )
    given = opaque("the server names the file") if parsed.has("J", "remote-header-name") and not names else NOTHING
    return total(touching(sent, PathUse.READ), touching(saved, PathUse.WRITE), outputs, given)


def _after_at(text: str) -> str:
    return re.split(r"[@<]", text, maxsplit=1)[-1].partition(";")[0]


def _method(parsed: Parsed) -> Verdict:
    """DELETE removes something over there; ``-Q`` gives commands to a server of files."""
    if not all(word.literal for word in parsed.values("X", "request")):
        return opaque("what is asked of the server is not known")
    methods = [word.text.upper() for word in parsed.values("X", "request")]
    quoted = [word.text.upper() for word in parsed.values("Q", "quote")]
    removing = any(method in ("DELETE", "PURGE") for method in methods) or any(
        "DEL" in text or "RM" in text for text in quoted
    )
    return DESTROYS if removing else NOTHING


_WGET = grammar(
    """-46a>A:B:bcC:D:dE:e!FhHi<I:kKl:LmnNo>O>pP>qQ:rR:SsT:t:U:vVw:xX:Y:z append-output> accept: accept-regex:
    adjust-extension ask-password background backup-converted backups? base: bind-address: body-data:
    body-file< ca-certificate< ca-directory< certificate< config! connect-timeout: content-disposition
    content-on-error continue convert-links cookies: cut-dirs: debug delete-after directory-prefix>
    dns-timeout: domains: exclude-directories: exclude-domains: execute! follow-ftp force-directories
    force-html header: http-password: http-user: https-only ignore-case ignore-length include-directories:
    inet4-only inet6-only input-file< keep-session-cookies level: limit-rate: load-cookies< local-encoding:
    max-redirect: method: mirror no-cache no-check-certificate no-clobber no-config no-cookies no-directories
    no-dns-cache no-glob no-host-directories no-hsts no-http-keep-alive no-netrc no-parent no-passive-ftp
    no-proxy no-verbose output-document> output-file> page-requisites password: post-data: post-file<
    prefer-family: private-key< progress: protocol-directories proxy? proxy-password: proxy-user: quiet quota:
    random-wait read-timeout: recursive referer: reject: reject-regex: rejected-log> relative report-speed:
    retry-connrefused retry-on-http-error: save-cookies> save-headers secure-protocol: server-response
    show-progress span-hosts spider start-pos: strict-comments timeout: timestamping tries: trust-server-names
    unlink use-askpass! use-server-timestamps user: user-agent: verbose wait: waitretry: warc-file>
    compression: auth-no-challenge no-iri"""
)


def _wget(invocation: Invocation) -> Verdict:
    parsed = parse(_with_no_clusters(invocation.arguments), _WGET)
    if parsed.informs or parsed.has("V"):
        return READS
    named = parsed.values("O", "output-document")
    quiet = parsed.has("spider") or any(word.text in ("-", "/dev/null", "/dev/stdout") for word in named)
    saved = [] if named or quiet else _saved_by_wget(parsed)
    listed = opaque("the URLs are in a file") if parsed.has("i", "input-file") else NOTHING
    removing = DESTROYS if any(word.text.upper() == "DELETE" for word in parsed.values("method")) else NOTHING
    return total(
        CONTACTS,
        of_options(parsed, strict=True, program="wget"),
        _urls(parsed.operands),
        listed,
        removing,
        touching(saved, PathUse.WRITE),
        NOTHING if quiet else WRITES,
    )


def _with_no_clusters(words: Sequence[Word]) -> list[Word]:
    """``-nv``, ``-nc``, ``-nd`` are options of two letters."""
    return [
        Word(f"-{word.text[3:]}") if re.fullmatch(r"-n[vcdHp][a-zA-Z]+", word.text) else word
        for word in words
        if not re.fullmatch(r"-n[vcdHp]", word.text)
    ]


def _saved_by_wget(parsed: Parsed) -> list[Word]:
    prefix = next((word.text for word in parsed.values("P", "directory-prefix")), ".")
    return [
        Word(f"{prefix}/{url.text.rstrip('/').rpartition('/')[2].partition('?')[0]}", url.literal)
        for url in parsed.operands
    ]


def _netcat(invocation: Invocation) -> Verdict:
    """``nc host port``; ``-e`` and ``-c`` run programs, ``-l`` waits for others to come."""
    parsed = parse(
        invocation.arguments,
        grammar("""-46bCc!De!dFG:g:hI:i:klM:m:NnO:o>P:p:q:rSs:T:tUuV:vW:w:X:x@zZ exec! sh-exec! lua-exec! listen
            keep-open udp verbose wait: proxy@ proxy-type: proxy-auth: source-port: source: ssl ssl-cert< ssl-key<
            output> hex-dump> allow: deny: nodns zero recv-only send-only idle-timeout: crlf sctp unixsock telnet
            ssl-verify ssl-trustfile<"""),
    )
    told = total(CONTACTS, of_options(parsed, strict=True, program="nc"))
    if parsed.has("l", "listen"):
        return total(told, opaque("it lets others connect")) if parsed.has("k", "keep-open") else told
    if parsed.has("U", "unixsock"):
        return total(told, touching(parsed.operands[:1], PathUse.WRITE))
    target = parsed.operands[:1]
    return total(told, contacting([(word, hosts.of_address(word.text)) for word in target]))


def _socat(invocation: Invocation) -> Verdict:
    """``socat ADDRESS ADDRESS``: EXEC and SYSTEM run programs."""
    words = [word for word in invocation.arguments if not re.fullmatch(r"-[a-zA-Z0-9]+(?:\.\d+)?", word.text)]
    return total(CONTACTS, *(_socat_address(word) for word in words))


_SOCAT_HOSTS = re.compile(
    r"(?:TCP|UDP|SCTP|OPENSSL|SSL|TLS|SOCKS\w*|PROXY|DTLS)[46]?(?:-CONNECT|-SENDTO|-DATAGRAM)?", re.I
)
_SOCAT_LOCAL = re.compile(r"-|STDIO|STDIN|STDOUT|STDERR|FD|PIPE|FIFO|ECHO|NULL|\d", re.I)
_SOCAT_FILES = re.compile(r"OPEN|CREATE?|FILE|GOPEN|UNIX(?:-CONNECT|-CLIENT|-LISTEN|-SENDTO|-RECV\w*)?", re.I)


def _socat_address(word: Word) -> Verdict:
    kind, _, rest = word.text.partition(":")
    kind = kind.split(",")[0]
    if not word.literal or re.search(r"(?:^|!!|,)\s*(?:EXEC|SYSTEM|SHELL|PTY|TUN)\b|LISTEN|RECVFROM", word.text, re.I):
        return opaque("socat runs a program, or lets others connect")
    if _SOCAT_HOSTS.fullmatch(kind):
        return contacting([(word, hosts.of_address(re.sub(r"(?<=[^:]):\d+.*$", "", rest.split(",")[0])))])
    if _SOCAT_FILES.fullmatch(kind):
        return touching([Word(rest.split(",")[0])], PathUse.WRITE)
    return NOTHING if _SOCAT_LOCAL.fullmatch(kind) else opaque(f"socat has an address that is not known: {kind}")


def _getent(invocation: Invocation) -> Verdict:
    """Looking up a host asks a server of names; other tables are read here."""
    parsed = parse(invocation.arguments, grammar("-is:A service: no-idn no-addrconfig"))
    table = parsed.operands[0] if parsed.operands else Word("")
    asks = not table.literal or table.text in ("hosts", "ahosts", "ahostsv4", "ahostsv6")
    return _resolver(Invocation((Word("host"), *parsed.operands[1:]))) if asks and parsed.operands[1:] else READS


def _resolver(invocation: Invocation) -> Verdict:
    """``dig``, ``host``, ``nslookup``, ``drill``: a query leaves through the resolver, or goes to ``@server``."""
    parsed = parse(invocation.arguments, grammar("-b:c:f<k<p:q:t:x:y:C:N:R:W:m:aAdilrsTvw46"))
    if parsed.informs or parsed.has("v"):
        return READS
    servers = [word for word in parsed.operands if word.text.startswith("@")]
    names = [word for word in parsed.operands if not word.text.startswith(("@", "+")) and "." in word.text]
    servers_named = contacting([(word, hosts.of_address(word.text[1:])) for word in servers])
    known = (
        NOTHING if all(word.literal for word in parsed.operands) else opaque("the name that is looked up is not known")
    )
    asked = tuple(hosts.normalised(word.text) for word in names if word.literal)
    return total(Verdict(frozenset({_NETWORK}), hosts=asked), servers_named if servers else NOTHING, known)


def _openssl(invocation: Invocation) -> Verdict:
    """``openssl``: ``s_client`` and ``s_server`` talk to others, engines and providers are code."""
    words = invocation.arguments
    verb = words[0].text if words and words[0].literal else ""
    options = [word.text.lstrip("-") for word in words[1:] if word.text.startswith("-")]
    if any(name in ("engine", "provider", "provider-path", "config", "pre", "post", "exec") for name in options):
        return opaque("openssl loads code, or a configuration")
    if verb in ("s_client", "s_time", "ocsp", "cmp"):
        targets = [
            *_values(words, "connect"),
            *_values(words, "host"),
            *_values(words, "proxy"),
            *_values(words, "url"),
            *(word for word in words[1:2] if not word.text.startswith("-")),
        ]
        return total(CONTACTS, contacting([(word, hosts.of_url(word.text)) for word in targets]))
    if verb == "s_server":
        return total(CONTACTS, opaque("it lets others connect"))
    if not verb:
        return opaque("what openssl is told is not known") if invocation.arguments or invocation.input_text else READS
    written = touching(
        [
            *_values(words, "out"),
            *_values(words, "keyout"),
            *_values(words, "writerand"),
            *_values(words, "CAcreateserial"),
        ],
        PathUse.WRITE,
    )
    read = touching(
        [*_values(words, "in"), *_values(words, "inkey"), *_values(words, "key"), *_values(words, "CAfile")],
        PathUse.READ,
    )
    files = touching([word for word in words[1:] if not word.text.startswith("-")][-1:], PathUse.READ)
    hashed = files if verb in ("dgst", "sha256", "sha512", "sha1", "md5", "verify") else NOTHING
    passphrases = [
        word
        for word in [*_values(words, "passin"), *_values(words, "passout"), *_values(words, "pass")]
        if word.text.startswith("file:")
    ]
    return total(READS, read, written, hashed, touching([Word(word.text[5:]) for word in passphrases], PathUse.READ))


def _values(words: Sequence[Word], option: str) -> list[Word]:
    """The words behind ``-option``."""
    return [words[at + 1] for at, word in enumerate(words[:-1]) if word.text in (f"-{option}", f"--{option}")]


def _mail(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("-a:A:b:c:r:s:q<S:H:nNiIvdEX!C!O!F:f:tuY:o:p:xe:M: to: subject: attach< content-type:"),
    )
    escapes = invocation.input_text is not None and re.search(r"^~[!|<r:]", invocation.input_text, re.M)
    interactive = (
        opaque("what is typed into mail may run programs")
        if parsed.has("f", "u")
        or escapes
        or (
            invocation.input is Input.CLIENT
            and invocation.program.text.rpartition("/")[2] in ("mail", "mailx", "Mail")
            and not parsed.operands
        )
        else NOTHING
    )
    domains = [(word, hosts.of_login(word.text)) for word in parsed.operands if "@" in word.text]
    sent = touching(parsed.values("A"), PathUse.READ)
    return total(CONTACTS, interactive, of_options(parsed, strict=False, program="mail"), contacting(domains), sent)


def _talks(options: str = "", *, roles: str = "@.*", strict: bool = False, single_dash: bool = False) -> Judge:
    return plain(roles, options, _NETWORK, strict=strict, single_dash=single_dash)


def _opens_shell_for_others(invocation: Invocation) -> Verdict:
    return total(CONTACTS, opaque("it opens this host to others"))


def _telnet(invocation: Invocation) -> Verdict:
    parsed = parse(invocation.arguments, grammar("-468acdEFfKLrxX:b:e:k:l:n>S:"))
    return total(
        of_options(parsed, strict=True, program="telnet"),
        contacting([(word, hosts.of_address(word.text)) for word in parsed.operands[:1]]),
        opaque("it is told what to do while it runs") if not parsed.operands else NOTHING,
    )


def _nmap(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-46AbFhnOrRvVdT:p:s:P:o:iL:iR:e:g:S:D:D:f iL< script! script-args: top-ports: exclude: open reason
            min-rate: max-retries: host-timeout: interactive^ resume! datadir! servicedb! versiondb! max-rate:
            traceroute packet-trace stylesheet: osscan-guess version-intensity: source-port:"""),
    )
    outputs = [
        Word(word.text)
        for at, word in enumerate(invocation.arguments)
        if at and re.fullmatch(r"-o[NXSGA]", invocation.arguments[at - 1].text)
    ]
    targets = [word for word in parsed.operands if word not in outputs]
    networks = [(word, hosts.of_address(word.text.partition("/")[0])) for word in targets]
    return total(
        CONTACTS,
        of_options(parsed, strict=False, program="nmap"),
        touching(outputs, PathUse.WRITE),
        contacting(networks),
    )


def _aria2(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-o>d>i<x:s:j:k:cqD dir> out> input-file< max-connection-per-server: split:
        conf-path! on-download-complete! on-download-start! on-download-error! on-bt-download-complete! check-integrity?
        continue? quiet? allow-overwrite? header: user-agent: rpc-listen-all^ enable-rpc^ checksum: log>"""),
    )
    listed = opaque("the URLs are in a file") if parsed.has("i", "input-file") else NOTHING
    return total(CONTACTS, WRITES, listed, of_options(parsed, strict=True, program="aria2c"), _urls(parsed.operands))


def _http_client(invocation: Invocation) -> Verdict:
    """HTTPie: ``http [METHOD] URL [items]``."""
    parsed = parse(
        invocation.arguments,
        grammar("""-jfpvhbdFIc o> -o>a:A:p:s:S output> download body headers form json auth:
        auth-type: verify: print: timeout: session: check-status ignore-stdin follow pretty: proxy: cert<
        cert-key< offline raw: style: session-read-only: stream quiet verbose continue default-scheme:"""),
    )
    words = list(parsed.operands)
    method = words.pop(0).text if len(words) > 1 and re.fullmatch(r"[A-Z]+", words[0].text) else ""
    sent = [
        Word(re.split(r":?=?@", word.text, maxsplit=1)[1]) for word in words[1:] if re.search(r"[\w-]:?=?@", word.text)
    ]
    return total(
        _urls(words[:1]),
        of_options(parsed, strict=True, program="http"),
        touching(sent, PathUse.READ),
        DESTROYS if method == "DELETE" else NOTHING,
    )


PROGRAMS: Programs = {
    "curl": _curl,
    "wget": _wget,
    "wget2": _wget,
    "http": _http_client,
    "https": _http_client,
    "xh": _http_client,
    "aria2c": _aria2,
    **dict.fromkeys(("nc", "ncat", "netcat", "nc.openbsd", "nc.traditional"), _netcat),
    "socat": _socat,
    "telnet": _telnet,
    "getent": _getent,
    **dict.fromkeys(("dig", "host", "nslookup", "drill", "delv", "kdig"), _resolver),
    "whois": _talks("-h@p:", roles=".*"),
    "ping": _talks("-46aAbBc:dDfF:hi:I:l:Lm:M:nOp:qQ:rRs:S:t:T:UvVw:W:", roles="@*"),
    "ping6": _talks("-c:i:I:s:t:w:W:nq"),
    "fping": _talks("-c:C:i:p:t:g", roles="@*"),
    "hping3": _talks("-c:p:s:d:E<i:S", roles="@*"),
    "arping": _talks("-c:I:w:s:"),
    "traceroute": _talks("-46dFInrTvf:g:i:m:N:p:q:s:t:w:z: max-hops:"),
    "traceroute6": _talks("-m:q:w:"),
    "tracepath": _talks("-bn46m:l:p:"),
    "mtr": _talks("-46bc:i:nrwTuzP:m: report report-wide report-cycles: no-dns"),
    "nmap": _nmap,
    "masscan": _talks("-p: rate:", roles="@*"),
    "zmap": _talks("-p:o>", roles="@*"),
    "ftp": lambda invocation: total(CONTACTS, opaque("ftp is told what to do while it runs")),
    "lftp": lambda invocation: total(CONTACTS, opaque("lftp has commands that run programs")),
    "tftp": _talks("-46c:lm:vR:"),
    "ncftp": lambda invocation: total(CONTACTS, opaque("ncftp is told what to do while it runs")),
    "rclone": lambda invocation: total(CONTACTS, opaque("what rclone does to other places is not known")),
    "openssl": _openssl,
    **dict.fromkeys(
        ("mail", "mailx", "Mail", "s-nail", "sendmail", "mutt", "msmtp", "swaks", "ssmtp", "exim", "exim4"), _mail
    ),
    "w3m": _talks("", roles="@*"),
    "lynx": _talks("-source -dump cmd_script! cfg! editor! lynxcgi!", roles="@*", single_dash=True),
    "links": _talks("", roles="@*"),
    "elinks": _talks("", roles="@*"),
    "iperf": _talks("-c@p:t:P:i:", roles=".*"),
    "iperf3": _talks("-c@p:t:P:i:JRu client@", roles=".*"),
    "ab": _talks("-n:c:t:p<T:H:k", roles="@"),
    "wrk": _talks("-t:c:d:s!H:", roles="@"),
    "hey": _talks("-n:c:z:q:m:H:d:D<", roles="@"),
    "ntpdate": _talks("-qb", roles="@*"),
    "snmpwalk": _talks("-v:c:", roles="@.*"),
    "ldapsearch": _talks("-H@b:D:w:h@p:xLs:y<", roles=".*"),
    "rdate": _talks("", roles="@*"),
    "smbclient": lambda invocation: total(CONTACTS, opaque("smbclient has commands that run programs")),
    "rlogin": _talks("-l:", roles="@"),
    "rsh": _talks("-l:n", roles="@!*"),
    "rexec": _talks("", roles="@!*"),
    "tcpdump": plain(".*", "-B:c:C:E:F<G:i:j:m!M:Q:r<s:T:V<w>W:y:z!Z:nvXAelqtSpUK count snapshot-length:", _READ),
    "tshark": plain(".*", "-i:c:r<w>Y:T:e:f:X!z:o:d:nq", _READ),
    "ngrep": plain(".*", "-d:I<O>n:qW:", _READ),
    "nload": plain(".*", "", _READ),
    "iftop": plain(".*", "-i:f:", _READ),
    "rpcinfo": _talks("", roles=".*"),
    "showmount": _talks("-e:ad", roles="@"),
    "upnpc": _opens_shell_for_others,
    **dict.fromkeys(
        (
            "ngrok",
            "cloudflared",
            "bore",
            "frpc",
            "frps",
            "chisel",
            "gost",
            "ligolo",
            "inlets",
            "localtunnel",
            "lt",
            "sshuttle",
            "autossh",
            "ssh-vpn",
            "openvpn",
            "wg-quick",
            "tor",
            "iodine",
            "dnscat",
            "tailscale",
            "zerotier-cli",
        ),
        _opens_shell_for_others,
    ),
}
