mkdir dir; echo x > dir/bin; mkdir -p root/t/bin
