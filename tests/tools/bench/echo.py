#!/usr/bin/env python3
"""Stands for a measuring process: says back what it is told."""

import json
import os
import sys

for line in sys.stdin:
    sys.stdout.write(json.dumps({"line": json.loads(line), "threads": os.environ["OMP_NUM_THREADS"]}) + "\n")
    sys.stdout.flush()
