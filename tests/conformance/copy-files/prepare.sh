echo a > a.txt; echo b > b.txt; mkdir -p dir/sub; echo x > dir/x; echo y > dir/sub/y; chmod 700 dir/sub; chmod 640 dir/x
echo s > "with space"; ln -s x dir/link; ln dir/x dir/hard; chown 1000:50 b.txt; chmod 4755 a.txt
