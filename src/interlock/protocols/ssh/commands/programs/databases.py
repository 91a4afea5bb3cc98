"""Clients of databases: their SQL and commands are read when they are on the command line, opaque otherwise."""

import re
from collections.abc import Sequence

from interlock.protocols.ssh.commands.invocation import CommandClass, Input, Invocation, PathUse, Verdict, Word
from interlock.protocols.ssh.commands.programs import hosts, sql
from interlock.protocols.ssh.commands.programs.options import Parsed, grammar, parse
from interlock.protocols.ssh.commands.programs.plain import Programs, of_options, plain
from interlock.protocols.ssh.commands.programs.tables import names
from interlock.protocols.ssh.commands.programs.verdicts import (
    DESTROYS,
    NOTHING,
    READS,
    RULES,
    WRITES,
    contacting,
    opaque,
    total,
    touching,
)

_WRITE, _DESTRUCTIVE, _PRIVILEGE = CommandClass.WRITE, CommandClass.DESTRUCTIVE, CommandClass.PRIVILEGE


def _server(words: Sequence[Word]) -> Verdict:
    """The server, which is another host unless it is this one; a directory of sockets is this one."""
    reached = []
    for word in words:
        host = hosts.of_url(word.text) if "://" in word.text else hosts.of_address(word.text)
        if not (word.literal and (word.text.startswith("/") or host is None or hosts.is_loopback(host))):
            reached.append((word, host))
    return contacting(reached) if reached else NOTHING


def _statements(texts: Sequence[Word], invocation: Invocation, meta: str) -> Verdict:
    """What the texts say, or what is on standard input; ``meta`` matches harmless commands of the client itself."""
    if not texts:
        if invocation.input_text is not None:
            return _text(Word(invocation.input_text), meta)
        return READS if invocation.input is Input.NOTHING else opaque("what the database is told is not known")
    return total(*(_text(text, meta) for text in texts))


def _text(text: Word, meta: str) -> Verdict:
    if not text.literal:
        return total(opaque("what the database is told is not known"))
    lines = text.text.splitlines()
    own = [line.strip() for line in lines if re.match(r"\s*[\\.]", line)]
    odd = [line for line in own if not re.fullmatch(meta, line)]
    rest = "\n".join(line for line in lines if not re.match(r"\s*[\\.]", line))
    if odd or re.search(r"\\[!ogiwecps]|\\copy|\\system|\\source|\\T", rest):
        return opaque(f"a command of the client that may do anything: {odd[0] if odd else 'in the text'}")
    return total(sql.effects(rest), READS if own else NOTHING)


_PSQL_META = (
    r"\\(?:[dlz]\w*[+S]*|conninfo|timing|x|q|pset|a|t|h|\?|echo|encoding|sf|sv"
    r"|errverbose)(?:[ ][^\\|`!]*)?|\\c(?:onnect)? ?[\w-]*"
)


def _psql(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-aAbeEF:f!Hh:lL>nNo:p:P:qQR:sStT:U:v:VwWxXzc:d:0 1? command: dbname: file! list variable: set:
            version no-psqlrc single-transaction echo-all echo-errors echo-queries echo-hidden log-file>
            no-readline output: quiet single-step single-line no-align csv field-separator: html pset:
            record-separator: tuples-only table-attr: expanded host: port: username: no-password password
            field-separator-zero record-separator-zero"""),
    )
    if parsed.informs or parsed.has("V"):
        return READS
    server = _server(
        [*parsed.values("h", "host"), *_hosts_of_dsn([*parsed.values("d", "dbname"), *parsed.operands[:1]])]
    )
    output = parsed.values("o", "output")
    piped = (
        opaque("psql hands its output to a program")
        if any(word.text.startswith("|") or not word.literal for word in output)
        else NOTHING
    )
    told = total(_without_one(parsed), server, piped, touching(output, PathUse.WRITE))
    if parsed.has("l", "list"):
        return total(told, READS)
    return total(told, _statements(parsed.values("c", "command"), invocation, _PSQL_META))


def _without_one(parsed: Parsed) -> Verdict:
    unknown = tuple(name for name in parsed.unknown if name != "-1")
    return of_options(Parsed(parsed.options, parsed.operands, unknown), strict=True, program="psql")


def _hosts_of_dsn(words: Sequence[Word]) -> list[Word]:
    """``postgresql://user@host/db`` and ``host=… dbname=…``."""
    found = [word for word in words if "://" in word.text and not re.match(r"\w+:///", word.text)]
    found += [
        Word(match[1], word.literal)
        for word in words
        for match in re.finditer(r"(?:^|[\s?&])host(?:addr)?=([^\s&]+)", word.text)
    ]
    return found


_MYSQL_META = r"\\[Gsuhc]|\\u \w+"


def _mysql(invocation: Invocation) -> Verdict:
    words = [
        Word(word.text[:2] if re.fullmatch(r"-p.+", word.text) else word.text, word.literal)
        for word in invocation.arguments
    ]
    parsed = parse(
        words,
        grammar("""-ABCe:D:EfGh:HijLNnoP:qrS:stTU?u:vVwWXp? execute: database: host: user: password? port: socket: batch
            silent skip-column-names table vertical html xml raw force verbose protocol: ssl-mode: ssl-ca<
            default-character-set: connect-timeout: defaults-file! defaults-extra-file! no-defaults init-command:
            pager! tee> login-path: column-names safe-updates compress quick no-auto-rehash ssl-cert< ssl-key<
            local-infile? skip-ssl ssl"""),
    )
    if parsed.informs or parsed.has("V"):
        return READS
    told = total(of_options(parsed, strict=True, program="mysql"), _server(parsed.values("h", "host")))
    texts = [*parsed.values("e", "execute"), *parsed.values("init-command")]
    return total(
        told,
        _statements(
            [Word(re.sub(r"\\G\s*$", ";", text.text), text.literal) for text in texts], invocation, _MYSQL_META
        ),
    )


_SQLITE_META = (
    r"\.(?:tables|schema|databases|indexes|indices|headers?|mode|width|show|dbinfo|stats"
    r"|timer|quit|exit|dump|fullschema|nullvalue|echo)(?: [\w%* ]*)?"
)


def _sqlite(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar(
            """cmd: init! readonly header noheader csv json line list column box table markdown html quote separator:
            nullvalue: newline: bail batch echo interactive safe append ascii tabs stats nofollow A^ version""",
            single_dash=True,
        ),
    )
    if parsed.informs:
        return READS
    database, texts = parsed.operands[:1], [*parsed.values("cmd"), *parsed.operands[1:]]
    done = _statements(texts, invocation, _SQLITE_META)
    use = PathUse.READ if done.classes <= READS.classes else PathUse.WRITE
    dangerous = any(
        re.search(r"load_extension|writefile|readfile|edit\(|attach\s|vacuum\s+into", text.text, re.I) for text in texts
    )
    return total(
        done,
        of_options(parsed, strict=True, program="sqlite3"),
        touching(database, use),
        opaque("SQLite is told to reach for other files") if dangerous else NOTHING,
    )


_REDIS_READING = names(
    """
    get mget strlen exists type ttl pttl keys scan hget hmget hgetall hkeys hvals hlen hscan hexists lrange
    llen lindex smembers scard sismember sscan srandmember zrange zrevrange zrangebyscore zcard zscore zrank
    zcount zscan xlen xrange xrevrange xinfo xpending info ping dbsize time lastsave memory object client
    slowlog latency config cluster role command echo select getrange bitcount pubsub randomkey dump hello auth
    monitor subscribe psubscribe acl module sinter sunion sdiff touch substr expiretime json.get ft.search
    ts.get
    """
)
_REDIS_WRITING = names(
    """
    set mset setex psetex setnx incr incrby decr decrby append hset hmset hincrby hsetnx lpush rpush lset
    linsert sadd zadd zincrby xadd expire pexpire expireat persist publish setrange getset bgsave save
    bgrewriteaof copy rename renamenx setbit pfadd geoadd xack xgroup json.set
    """
)
_REDIS_REMOVING = names(
    """
    del unlink flushall flushdb hdel lrem ltrim lpop rpop spop srem zrem zremrangebyrank zremrangebyscore xdel
    xtrim getdel shutdown debug swapdb move failover json.del
    """
)


def _redis(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar(
            """-h:p:s:a:u@r:i:n:23xX:d:D:cet: host: user: pass: askpass raw no-raw csv json tls insecure cacert<
            cert< key< stat latency bigkeys memkeys hotkeys scan pattern: eval! eval-ro! rdb> pipe^ cluster!
            no-auth-warning ldb^ intrinsic-latency: quoted-input show-pushes: latency-history latency-dist
            lru-test: verbose sni: quoted-pattern: functions-rdb>""",
            in_order=True,
        ),
    )
    if parsed.informs:
        return READS
    told = total(of_options(parsed, strict=True, program="redis-cli"), _server(parsed.values("h", "host")))
    if parsed.has("stat", "latency", "bigkeys", "memkeys", "hotkeys", "scan", "rdb"):
        return total(told, READS)
    commands = [parsed.operands] if parsed.operands else _redis_input(invocation)
    if commands is None:
        return total(told, opaque("what the database is told is not known"))
    return total(told, *(_redis_command(command) for command in commands))


def _redis_input(invocation: Invocation) -> list[tuple[Word, ...]] | None:
    if invocation.input_text is None:
        return [] if invocation.input is Input.NOTHING else None
    return [tuple(map(Word, line.split())) for line in invocation.input_text.splitlines() if line.strip()]


def _redis_command(words: Sequence[Word]) -> Verdict:
    if not words[0].literal:
        return opaque("what the database is told is not known")
    verb = words[0].text.lower()
    second = words[1].text.lower() if len(words) > 1 else ""
    if verb in ("config", "client", "cluster", "acl", "module", "slowlog", "memory", "latency", "script", "function"):
        return _redis_administration(verb, second)
    if verb in _REDIS_READING:
        return READS
    if verb in _REDIS_WRITING:
        return WRITES
    return DESTROYS if verb in _REDIS_REMOVING else opaque(f"{verb} of Redis may do anything")


def _redis_administration(verb: str, second: str) -> Verdict:
    if second in (
        "get",
        "list",
        "info",
        "getname",
        "id",
        "nodes",
        "slots",
        "shards",
        "len",
        "usage",
        "stats",
        "doctor",
        "whoami",
        "cat",
        "users",
        "latest",
        "history",
        "help",
        "getuser",
        "keyslot",
        "countkeysinslot",
        "exists",
        "myid",
    ):
        return READS
    if verb == "acl":
        return RULES
    if second in ("reset", "flush", "failover", "forget", "kill", "delslots"):
        return DESTROYS
    return (
        WRITES
        if verb in ("client", "slowlog", "memory", "latency")
        else opaque(f"{verb} {second} of Redis changes what the server does")
    )


_MONGO_READING = re.compile(
    r"(?:db(?:\.getSiblingDB\(['\"]\w+['\"]\))?\.(?:(?:getCollection\(['\"][\w.-]+['\"]\)|[\w]+)\.(?:find|findOne|count|countDocuments"
    r"|estimatedDocumentCount|distinct|stats|getIndexes|dataSize|storageSize|totalSize)|stats|serverStatus|version|getCollectionNames"
    r"|getCollectionInfos|getName|hello|isMaster|currentOp|getUsers|hostInfo)\([^()]*\)(?:\.(?:limit|sort|count|pretty|toArray|skip"
    r"|explain|size)\([^()]*\))*|rs\.(?:status|conf|printReplicationInfo|hello)\(\)|sh\.status\(\)"
    r"|show (?:dbs|databases|collections"
    r"|users|roles|profile|logs?)|use \w+)"
)
_MONGO_REMOVING = re.compile(r"drop|delete|remove|shutdownServer|killOp|stepDown|renameCollection", re.IGNORECASE)


def _mongo(invocation: Invocation) -> Verdict:
    parsed = parse(
        invocation.arguments,
        grammar("""-u:p?hf! eval: quiet host: port: username: password? authenticationDatabase: file! norc shell^
        tls ssl tlsCAFile< json? nodb apiVersion: authenticationMechanism: tlsAllowInvalidCertificates"""),
    )
    if parsed.informs:
        return READS
    servers = [word for word in parsed.operands[:1] if "://" in word.text] + list(parsed.values("host"))
    scripts = [word for word in parsed.operands if word.text.endswith(".js")]
    told = total(
        of_options(parsed, strict=True, program="mongosh"),
        _server(servers),
        opaque("a script runs in the database") if scripts else NOTHING,
    )
    texts = [word.text for word in parsed.values("eval") if word.literal] or (
        [invocation.input_text] if invocation.input_text else []
    )
    if not texts or (len(texts) != len(parsed.values("eval")) and parsed.values("eval")):
        return total(told, opaque("what the database is told is not known"))
    return total(told, *(_mongo_text(text) for text in texts))


def _mongo_text(text: str) -> Verdict:
    parts = [part.strip() for part in re.split(r"[;\n]", text) if part.strip()]
    parts = [re.sub(r"^(?:printjson|print|JSON\.stringify)\((.*)\)$", r"\1", part) for part in parts]
    if all(_MONGO_READING.fullmatch(part) for part in parts):
        return READS
    removing = DESTROYS if _MONGO_REMOVING.search(text) else NOTHING
    return total(removing, opaque("code runs in the database's shell"))


def _dumping(invocation: Invocation) -> Verdict:
    parsed = parse(
        [
            Word("-p") if re.fullmatch(r"-p[^ ].*", word.text) and "mysql" in invocation.program.text else word
            for word in invocation.arguments
        ],
        grammar("""-h:U:u:p?P:f:d:F:t:n:N:T:abBcCjOovsSxwWqRE:r> host: username: user: port: dbname: file> format:
            table: schema: exclude-table: data-only schema-only clean create if-exists no-owner no-acl
            no-privileges jobs: verbose compress: all-databases databases single-transaction routines triggers
            events add-drop-database result-file> out> db: collection: gzip archive? uri: password? quick
            no-data where: lock-tables? skip-lock-tables add-drop-table no-create-info globals-only roles-only
            tablespaces-only inserts column-inserts Z: column-statistics: set-gtid-purged: master-data?
            source-data? hex-blob default-character-set: socket: extended-insert ignore-table:
            max-allowed-packet: authenticationDatabase: query: excludeCollection: snapshot: lock-wait-timeout:
            encoding: role: no-password"""),
    )
    servers = [
        *parsed.values("h", "host"),
        *parsed.values("uri"),
        *_hosts_of_dsn([*parsed.values("d", "dbname"), *parsed.operands]),
    ]
    output = parsed.values("f", "o") if "pg_" in invocation.program.text else ()
    return total(
        READS, _server(servers), of_options(parsed, strict=False, program="dump"), touching(output, PathUse.WRITE)
    )


def _restoring(invocation: Invocation) -> Verdict:
    words = [word.text for word in invocation.arguments]
    gone = DESTROYS if any(text in ("-c", "--clean", "--drop") for text in words) else NOTHING
    lists = any(text in ("-l", "--list") for text in words)
    files = [word for word in invocation.arguments[-1:] if not word.text.startswith("-")]
    return total(READS if lists else total(WRITES, opaque("a dump may hold code")), gone, touching(files, PathUse.READ))


def _mysqladmin(invocation: Invocation) -> Verdict:
    words = [word.text for word in invocation.arguments if not word.text.startswith("-")]
    if any(word in ("drop", "shutdown", "kill", "flush-hosts", "flush-logs", "stop-slave") for word in words):
        return DESTROYS
    if any(word == "password" for word in words):
        return RULES
    if any(
        word in ("create", "reload", "refresh", "start-slave", "flush-tables", "flush-privileges") for word in words
    ):
        return WRITES
    asks = any(word in ("status", "ping", "processlist", "version", "variables", "extended-status") for word in words)
    return READS if asks else opaque("what mysqladmin is told is not known")


def _etcdctl(invocation: Invocation) -> Verdict:
    servers = parse(invocation.arguments, grammar("endpoints: endpoint: peers:")).values("endpoints", "endpoint")
    return total(_etcd_verb(invocation), _server(servers))


def _etcd_verb(invocation: Invocation) -> Verdict:
    words = [word.text for word in invocation.arguments if not word.text.startswith("-")]
    verbs = set(words)
    if verbs & {"del", "rm", "rmdir", "compact", "defrag", "remove", "restore"}:
        return DESTROYS
    if verbs & {"put", "set", "mk", "update", "save", "add"}:
        return WRITES
    if verbs & {"user", "role", "auth"}:
        return RULES
    return (
        READS
        if verbs & {"get", "ls", "list", "status", "health", "version", "watch", "endpoint"}
        else opaque("what etcdctl is told is not known")
    )


PROGRAMS: Programs = {
    "psql": _psql,
    **dict.fromkeys(("mysql", "mariadb"), _mysql),
    **dict.fromkeys(("sqlite3", "sqlite"), _sqlite),
    **dict.fromkeys(("redis-cli", "valkey-cli", "keydb-cli"), _redis),
    **dict.fromkeys(("mongosh", "mongo"), _mongo),
    **dict.fromkeys(("pg_dump", "pg_dumpall", "mysqldump", "mariadb-dump", "mongodump", "mongoexport"), _dumping),
    **dict.fromkeys(("pg_restore", "mongorestore", "mongoimport", "mysqlimport"), _restoring),
    "mysqladmin": _mysqladmin,
    "mariadb-admin": _mysqladmin,
    "mysqlcheck": plain(".*", "", _WRITE),
    "createdb": plain(".*", "", _WRITE),
    "dropdb": plain(".*", "", _DESTRUCTIVE),
    "createuser": plain(".*", "", _PRIVILEGE),
    "dropuser": plain(".*", "", _PRIVILEGE, _DESTRUCTIVE),
    "pg_isready": lambda invocation: total(
        READS, _server(parse(invocation.arguments, grammar("-h:p:d:U:t:q host: port:")).values("h", "host"))
    ),
    "pg_basebackup": plain(".*", "-D>h:U:p:F:X:PvRzc: pgdata>", _WRITE),
    "pg_lsclusters": plain(".*", "", CommandClass.READ),
    "pg_ctlcluster": lambda invocation: (
        DESTROYS if any(word.text == "stop" for word in invocation.arguments) else WRITES
    ),
    "pg_ctl": lambda invocation: (
        READS
        if any(word.text == "status" for word in invocation.arguments)
        else DESTROYS
        if any(word.text in ("stop", "kill") for word in invocation.arguments)
        else opaque("a server is started")
        if any(word.text in ("start", "restart") for word in invocation.arguments)
        else WRITES
    ),
    "vacuumdb": plain(".*", "", _WRITE),
    "reindexdb": plain(".*", "", _WRITE),
    "pgbench": plain(".*", "-f!h:p:U:c:j:T:t:s:i file!", _WRITE),
    "etcdctl": _etcdctl,
    "cqlsh": lambda invocation: opaque("what the database is told is not known"),
    "clickhouse-client": lambda invocation: opaque("what the database is told is not known"),
    "influx": lambda invocation: opaque("what the database is told is not known"),
    "sqlcmd": lambda invocation: opaque("what the database is told is not known"),
    "sqlplus": lambda invocation: opaque("what the database is told is not known"),
    "duckdb": lambda invocation: opaque("what the database is told is not known"),
}
