mkdir -p tree/sub/more tree/empty; echo new > tree/sub/file; echo z > tree/sub/more/z; chmod 711 tree; chmod 705 tree/sub; chown -R 1000:1000 tree
