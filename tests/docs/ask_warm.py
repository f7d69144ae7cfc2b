"""The program that stands for `clipline` and `python` on a page: see `warm.py`."""

import json
import os
import socket
import sys
from pathlib import Path

script = sys.argv[1]
argv = [script, *sys.argv[2:]]
connection = socket.socket(socket.AF_UNIX)
connection.connect(os.environ["DOCS_WARM"])
asked = json.dumps({"argv": argv, "cwd": str(Path.cwd()), "env": dict(os.environ)})
socket.send_fds(connection, [asked.encode()], [0, 1, 2])
code = connection.recv(16).decode()
# The copy ended without a word: as if it had been killed.
sys.exit(int(code) & 0xFF if code else 137)
