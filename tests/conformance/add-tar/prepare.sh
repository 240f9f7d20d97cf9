mkdir -p t/usr t/lib t/conf dir; echo u > t/usr/u; echo l > t/lib/l; echo c > t/conf/c; chmod 750 t/usr; ln t/usr/u t/usr/hard; ln -s u t/usr/sym; chmod 4755 t/lib/l
tar --owner=7 --group=8 -cf a.tar -C t usr lib/l conf; gzip -k a.tar; busybox bzip2 -k a.tar; xz -k a.tar; echo no > plain.tar; echo f > dir/f; rm -r t
