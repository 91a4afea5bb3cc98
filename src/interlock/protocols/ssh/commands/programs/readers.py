"""Programs that only read, and print what they find."""

from interlock.protocols.ssh.commands.invocation import CommandClass
from interlock.protocols.ssh.commands.programs.plain import Programs, plain
from interlock.protocols.ssh.commands.programs.tables import names

_READ = CommandClass.READ

_OF_FILES = """
cat:
tac: -s: separator:
head: -c:n:# bytes: lines:
tail: -c:n:s:# bytes: lines: sleep-interval: pid:
nl: -b:d:f:h:i:l:n:s:v:w:
wc: files0-from<
ls: -I:T:w: ignore: hide: block-size: width: tabsize: sort: time: time-style: format: quoting-style: color?
dir:
vdir:
exa: -L:I:s: level:
eza: -L:I:s: level:
lsd: depth:
tree: -L:P:I:o>H:T: charset: filelimit: timefmt: sort: fromfile gitfile<
stat: -c:f printf: format:
file: -m<f<F:e: magic-file< files-from<
du: -d:B:t:X< max-depth: block-size: threshold: exclude: exclude-from< files0-from< time?
df: -B:t:x: block-size: type: exclude-type: output?
readlink:
realpath: relative-to: relative-base:
md5sum:
sha1sum:
sha224sum:
sha256sum:
sha384sum:
sha512sum:
shasum: -a: algorithm:
b2sum: -l: length:
cksum: -a:l:
sum:
od: -A:j:N:t:w:S: address-radix: skip-bytes: read-bytes: format:
hexdump: -e:f<n:s:
hd: -n:s:
strings: -n:e:t:T:s: bytes: encoding: radix:
cut: -b:c:d:f: bytes: characters: delimiter: fields: output-delimiter:
paste: -d: delimiters:
join: -1:2:j:t:e:o:a:v:
comm: output-delimiter:
fold: -w: width:
fmt: -w:p:g: width: prefix: goal:
pr: -l:w:h:o:
column: -t:c:s:o:N:R:H: separator: output-separator: table-columns: table-right:
expand: -t: tabs:
unexpand: -t: tabs:
rev:
iconv: -f:t:o> from-code: to-code: output>
base64: -w: wrap:
base32: -w: wrap:
basenc: -w: wrap:
zcat:
bzcat:
xzcat:
lzcat:
zstdcat:
lz4cat:
gzcat:
diff: -U:C:x:X<I:F:W:L: unified: context: exclude: exclude-from< label: width: from-file< to-file<
diff3: L:
colordiff: -U:
cmp: -i:n: bytes: ignore-initial:
sdiff: -o>w: output> width:
zdiff:
zcmp:
bzdiff:
ldd:
nm:
size:
readelf:
objdump: -j:M:d
c++filt:
lsattr:
getfacl:
getfattr: -n:m: name: match:
namei:
pathchk:
lsof: -p:u:i:c:d:g:
pmap:
bat: -l:r:H: language: line-range: theme: style: paging:
batcat: -l:r:H: language: line-range: theme: style: paging:
glow:
xmlwf:
cal:
zipinfo:
look:
tsort:
csvcut: -c:d:
csvlook:
csvstat:
csvgrep: -c:m:r:
identify:
mediainfo:
ffprobe: -v: show_entries: of:
pdfinfo:
last: -n:f<s:t:
lastb: -n:f<s:t:
utmpdump: -o>
lastlog: -u:t:b:
who:
"""

_OF_NO_FILES = names(
    """
    reset jps jstack jstat jinfo netstat printenv echo true false : pwd whoami id groups logname tty uname arch
    hostid uptime w who users free vmstat iostat mpstat pidstat sar nproc lscpu lsmem lspci lsusb lsmod lsblk lsns
    lsipc lslocks findmnt blkid getconf locale which type whereis whatis apropos cal ncal seq yes sleep
    usleep factor expr test [ [[ bc basename dirname tput ps pstree pgrep pidof top htop atop btop jobs wait times
    umask ulimit numfmt dmidecode inxi neofetch sensors acpi lnstat nstat clear cd pushd popd dirs let shift
    return exit logout break continue disown fg bg caller info tldr slabtop tload runlevel mountpoint ipcs uuidgen
    mcookie pwgen nvidia-smi numastat lstopo modinfo systemd-detect-virt systemd-path systemd-cgls systemd-cgtop
    systemd-analyze zdump lsb_release apt-cache needs-restarting getcap getsebool sestatus getenforce aa-status
    ausearch aureport lsscsi pvs vgs lvs pvdisplay vgdisplay lvdisplay pvscan vgscan lvscan xfs_info quota
    repquota atq figlet fortune banner errno pathchk vainfo glxinfo tabs resize help line lsirq lsfd getopt getopts
    read mapfile readarray local declare typeset readonly
    """
)
"""Programs and builtins whose operands are no files."""

PROGRAMS: Programs = {}
for _line in _OF_FILES.strip().splitlines():
    _name, _, _options = _line.partition(":")
    PROGRAMS[_name] = plain("<*", _options, _READ)
PROGRAMS |= {name: plain(".*", "", _READ) for name in _OF_NO_FILES}
