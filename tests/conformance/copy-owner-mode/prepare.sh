mkdir -p dir/sub; echo x > dir/x; echo y > dir/sub/y; ln -s x dir/link; chmod 600 dir/sub/y
