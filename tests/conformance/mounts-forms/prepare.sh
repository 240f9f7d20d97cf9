mkdir dir; echo x > dir/x
