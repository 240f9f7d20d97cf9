echo f > f; setfattr -n user.mark -v kept f 2>/dev/null || true
