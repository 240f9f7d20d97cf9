mkdir -p dir/s; echo x > dir/x; echo y > dir/s/y; chmod 750 dir/s
