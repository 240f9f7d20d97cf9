mkdir -p t/d; echo u > t/d/u; tar --owner=7 --group=8 -cf a.tar -C t d; rm -r t
