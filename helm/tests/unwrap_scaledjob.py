"""The Jobs that KEDA makes of ScaledJobs: from standard input to standard output, so that schemas see into them."""
import sys

import yaml

for d in yaml.safe_load_all(sys.stdin):
    if d and d["kind"] == "ScaledJob":
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": d["metadata"]["name"]}, "spec": d["spec"]["jobTargetRef"]}
        print(yaml.safe_dump(job), end="---\n")
