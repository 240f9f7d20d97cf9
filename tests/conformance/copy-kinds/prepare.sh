mkdir -p tree/sticky tree/empty tree/private; echo s > tree/setuid; chmod 6755 tree/setuid; chmod 1777 tree/sticky; chmod 700 tree/private; echo p > tree/private/f; chmod 0 tree/private/f
ln -s ../outside tree/out; ln -s /abs tree/abs; ln -s hard1 tree/rel; echo h > tree/hard1; ln tree/hard1 tree/hard2; truncate -s 1M tree/sparse; chown -R 5:6 tree/private; touch -d 2001-02-03 tree/hard1 tree/private
ln -s tree link-to-dir; ln -s tree/hard1 link-to-file
