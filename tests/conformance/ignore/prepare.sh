mkdir -p docs/deep secret src/a; for f in a.txt b.log docs/a.md docs/keep.md docs/deep/x secret/key secret/public src/main.o src/a/b.o src/a/b.c; do echo $f > $f; done
printf '%s\n' '# comment' 'root' '*.log' '**/*.o' 'docs' '!docs/keep.md' 'secret/*' '!secret/public' 'Dockerfile' '.dockerignore' > .dockerignore
