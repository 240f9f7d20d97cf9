# Makes l1.tar, l2.tar and l3.tar: layers with files of every kind, and deletions of every kind. Run as root.
umask 022
mkdir -p l1/usr/bin l1/usr/lib64 l1/etc l1/dev l1/var/gonedir l1/var/opaque l1/var/swap l1/tmp l1/big l1/links l1/empty
cp "$BUSYBOX" l1/usr/bin/busybox
for name in sh cat ls stat rm mkdir echo chmod touch test chown ln mv id true sleep; do ln -s busybox l1/usr/bin/$name; done
ln -s usr/bin l1/bin
ln -s usr/lib64 l1/lib64
echo library >l1/usr/lib64/lib.so
printf 'root:x:0:0:root:/:/bin/sh\nann:x:1000:1000::/:/bin/sh\n' >l1/etc/passwd
printf 'root:x:0:\nann:x:1000:\n' >l1/etc/group
for name in setuid capable attributed acl linked gone; do echo $name >l1/etc/$name; done
ln l1/etc/linked l1/usr/linked-too
ln l1/etc/linked l1/etc/a-third-name
chmod 4755 l1/etc/setuid
chmod 1777 l1/tmp
chmod 2775 l1/empty
: >l1/etc/nothing
truncate -s 3M l1/big/sparse
printf middle | dd of=l1/big/sparse bs=1 seek=1000000 conv=notrunc status=none
printf end | dd of=l1/big/sparse bs=1 seek=3145720 conv=notrunc status=none
long=$(printf 'n%.0s' $(seq 230))
mkdir -p l1/links/$long/$long
echo long >l1/links/$long/$long/$long
ln -s "$(printf '/t%.0s' $(seq 150))" l1/links/long-target
ln -s nowhere l1/links/dangling
echo other >"l1/links/Grüße 日本.txt"
echo spaces >"l1/links/ two  spaces "
printf line >$'l1/links/a\nline'
mknod -m 666 l1/dev/null c 1 3
mknod -m 640 l1/dev/disk b 8 17
mkfifo -m 600 l1/dev/fifo
for name in gone gonedir/x opaque/old swap/inside kept; do echo $name >l1/var/$name; done
chown 1000:50 l1/etc/attributed
chown -h 33:33 l1/links/dangling
chown 3000000:3000001 l1/big/sparse
python3 - <<'P'
import os
os.setxattr("l1/etc/capable", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
os.setxattr("l1/etc/attributed", "user.one", b"1")
os.setxattr("l1/etc/attributed", "user.bytes", bytes([0, 1, 10, 61, 255]))
os.setxattr("l1/empty", "user.directory", b"yes")
acl = bytes.fromhex("02000000" "01000600ffffffff" "02000400e8030000" "04000400ffffffff" "10000600ffffffff" "20000400ffffffff")
os.setxattr("l1/etc/acl", "system.posix_acl_access", acl)
os.setxattr("l1/empty", "system.posix_acl_default", acl)
P

mkdir -p l2/var/opaque l2/etc
: >l2/var/.wh.gone
: >l2/var/.wh.gonedir
: >l2/etc/.wh.gone
: >l2/var/opaque/.wh..wh..opq
echo new >l2/var/opaque/new
echo "a file now" >l2/var/swap
echo second >l2/etc/second

mkdir -p l3/var/swap l3/var/opaque
echo back >l3/var/swap/again
echo third >l3/var/opaque/third

second=1000000000
for layer in l1 l2 l3; do
    find $layer -depth -print0 | while IFS= read -r -d '' path; do
        second=$((second + 1))
        touch -h -d "@$second.123456789" "$path"
    done
    tar -C $layer --format=posix --pax-option=delete=atime,delete=ctime --sort=name --numeric-owner \
        --xattrs --xattrs-include='*' -cf $layer.tar .
done
