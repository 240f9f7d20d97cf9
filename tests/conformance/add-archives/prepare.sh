mkdir -p t/sub t/f t/tolink; echo new > t/sub/new; echo x > t/f/x; echo y > t/tolink/y; ln -s /etc/passwd t/abs; echo h > t/h1; ln t/h1 t/h2; chmod 750 t/sub; chown 8:9 t/sub/new; touch -d 2001-02-03T04:05:06 t/h1
tar -C t -cf a.tar sub f tolink abs h1 h2; gzip -k a.tar; mkdir u; echo b > u/b; tar -C u -cf b.tar b
echo text | gzip > plain.gz; echo text > not-a.tar; mkdir dir; cp a.tar dir; mkdir r; chmod 711 r; chown 7:7 r; echo r > r/r; tar -C r -cf rooted.tar .
