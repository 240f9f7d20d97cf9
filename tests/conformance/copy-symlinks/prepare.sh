echo f > file; mkdir dir links; echo d > dir/d; ln -s ../file links/up; ln -s /nowhere links/broken
