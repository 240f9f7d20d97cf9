# Run inside the container, by busybox alone: all that can be seen of it, one section after the other.
# Sections are compared line by line, regardless of their order.
b=/bin/busybox
echo '== root'
$b find / -maxdepth 1 -exec $b stat -c '%n %F %a %u:%g %N' {} \;
echo '== above the root'
$b ls /..
echo '== dev'
$b find /dev -maxdepth 2 ! -path '/dev/pts/*' -exec $b stat -c '%n %F %a %t:%T %N' {} \;
echo '== user'
$b id
echo '== environment'
$b tr '\0' '\n' </proc/1/environ
echo '== command'
$b tr '\0' '\n' </proc/1/cmdline | $b head -n 2
echo '== names'
$b hostname
$b cat /proc/sys/kernel/domainname
echo '== privileges'
$b grep -E '^(Cap|NoNewPrivs|SigBlk|Groups|Uid|Gid|Umask)' /proc/1/status
# glibc's posix_spawn ignores signals 32 and 33, its own, which nothing can reset by its means.
$b sed -nE 's/^(SigIgn:).*(.{7})$/\1\2/p' /proc/1/status
echo '== mounts'
$b sed -E 's/^[0-9]+ [0-9]+ [0-9:]+ (.*) - ([^ ]+) .*/\1 \2/' /proc/self/mountinfo
echo '== limits'
$b grep -E 'open files|core file' /proc/1/limits
echo '== processes and session'
$b cut -d ' ' -f 1,4-6 /proc/1/stat
echo /proc/[0-9]*
echo '== descriptors'
$b ls /proc/1/fd
echo '== directory'
$b pwd
echo '== network'
$b cat /proc/net/dev | $b cut -d : -f 1
$b cat /sys/class/net/lo/flags
echo '== hidden and protected'
$b ls -a /sys/firmware
$b wc -c </proc/keys
echo 1 2>&1 >/proc/sys/vm/drop_caches
echo '== volume'
$b cat /data/file /data/below/file
(echo new >/data/new) 2>&1
echo '== changes'
(echo changed >/of/top) 2>&1
(echo made >/made) 2>&1
(cd /workdir && $b ls -a) 2>&1
exit 0
