"""Known vulnerabilities of what is installed beside this Python, as far as the package registry knows of them.

Leaves with 1 if there is one; where the registry keeps no such list, says so and leaves with 0.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

TOOL = "pip-audit==2.10.1"  # in an environment of its own: it brings two dozen packages


def main() -> int:
    """Audit and report."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / ("Scripts" if sys.platform == "win32" else "bin") / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", TOOL], check=True)
        command = [python, "-m", "pip_audit", "--format", "json", "--path", sysconfig.get_path("purelib")]
        run = subprocess.run(command, capture_output=True, text=True)
    if not run.stdout.startswith("{"):
        sys.stdout.write(f"not audited: {run.stderr.strip().splitlines()[-1]}\n")
        return 0
    packages = json.loads(run.stdout)["dependencies"]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    known = [(p["name"], p["version"], v["id"], v["fix_versions"]) for p in packages for v in p.get("vulns", [])]
    for name, version, identity, fixed in known:
        sys.stdout.write(f"{name} {version}: {identity}, fixed in {', '.join(fixed) or 'no version'}\n")
    sys.stdout.write(
        f"audited {len(packages)} packages: {len(known)} known vulnerabilities; "
        f"the registry could tell nothing of {len(unknown)}\n"
    )
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main())
