#!/usr/bin/env python3
"""Writes each `run:` script of the workflows to a separate file for shellcheck.

usage: workflow-scripts.py FOLDER WORKFLOW...
"""
import pathlib
import shutil
import sys

import yaml

folder = pathlib.Path(sys.argv[1])
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(parents=True)
for path in map(pathlib.Path, sys.argv[2:]):
    workflow = yaml.safe_load(path.read_text())
    # Without this setting, GitHub's shell ignores failures within a pipe.
    if workflow.get("defaults", {}).get("run", {}).get("shell") != "bash":
        sys.exit(f"{path}: defaults.run.shell is not bash")
    for name, job in workflow["jobs"].items():
        for number, step in enumerate(job.get("steps", [])):
            if "run" in step:
                script = folder / f"{path.stem}-{name}-{number}.sh"
                script.write_text("#!/usr/bin/env bash\nset -eo pipefail\n" + step["run"] + "\n")
