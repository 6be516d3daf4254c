#!/usr/bin/env python3
"""Stand-in for a worker process: replies with each line that it reads."""

import json
import os
import sys

for line in sys.stdin:
    sys.stdout.write(json.dumps({"line": json.loads(line), "threads": os.environ["OMP_NUM_THREADS"]}) + "\n")
    sys.stdout.flush()
