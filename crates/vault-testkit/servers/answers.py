"""Waits until an HTTP server answers, or until its process is gone. Arguments: URL PID."""

import os
import sys
import time
import urllib.request

url, pid = sys.argv[1], int(sys.argv[2])
for _ in range(2400):
    try:
        urllib.request.urlopen(url, timeout=5).read()
        break
    except OSError:
        os.kill(pid, 0)
        time.sleep(0.05)
else:
    sys.exit(f"{url} does not answer")
