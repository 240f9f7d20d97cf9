mkdir -p d1/s/deep d1/t/deep d2 ; for f in f1 f2 abc bcd cde 'with space' 'a?b' axb .hidden d1/x d1/.h d1/s/deep/y d1/t/deep/z d2/x d2/new; do echo "$f" > "$f"; done
