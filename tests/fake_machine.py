"""Simulated Debian machine for the tests of the installer: folders, and fakes of Debian's commands.

tests/deploy/arm64.sh and upgrade.sh run the installer on a real Debian.
"""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Files of the project that the installer reads or copies. One file represents each large folder.
FILES = [
    *("config.yaml", "pyproject.toml", "README.md", "LICENSE", "docs/mqtt.md"),
    *("device/__init__.py", "training/__init__.py", "models/urbansound8k/bundle.json"),
    "models/urbansound8k-light/bundle.json",
    *("deploy/install.sh", "deploy/packages.sh", "deploy/requirements.txt"),
    *("deploy/completion/earshot.bash", "deploy/completion/_earshot", "deploy/completion/earshot.fish"),
    *("deploy/systemd/earshot.service", "deploy/systemd/earshot@.service", "deploy/systemd/earshot-web.service"),
    "deploy/systemd/earshot-notify.service",
]

# Fakes of the commands that change a machine. They store their state in the folder $MACHINE.
COMMANDS = {
    "id": "echo ${FAKE_UID:-0}",
    "dpkg": "echo ${FAKE_ARCHITECTURE:-arm64}",
    "df": "echo Avail; echo ${FAKE_FREE:-4000}",
    "dpkg-query": 'grep -qsx "$4" "$MACHINE/packages" && printf installed',
    "apt-get": """
echo "apt-get $*" >>"$MACHINE/log"
[ "$1" != install ] || for word in "$@"; do echo "$word" >>"$MACHINE/packages"; done""",
    # A service becomes ready unless its version contains "crashes"; its version is `current` at its start.
    "systemctl": """
case $1 in is-* | list-*) ;; *) echo "systemctl $*" >>"$MACHINE/log" ;; esac
case $1 in
enable*) touch "$MACHINE/enabled" ;;
disable*) rm -f "$MACHINE/enabled" ;;
is-enabled*) [ -e "$MACHINE/enabled" ] ;;
is-active*) [ -e "$MACHINE/running" ] && echo active ;;
stop*) rm -f "$MACHINE/running" ;;
restart*)
    rm -f "$MACHINE/running"
    current=$(readlink -f "$EARSHOT_INSTALL_ROOT/opt/earshot/current")
    ! grep -q crashes "$current/device/__init__.py" || exit 1
    echo "$current" >"$MACHINE/running" ;;
esac""",
    "journalctl": "echo 'a line of the journal'",
    "sleep": "",
}
PYTHON = """
case "$1" in
-c) echo ${FAKE_PYTHON:-3.11} ;;
-m)
    for folder in "$@"; do :; done
    mkdir -p "$folder/bin"
    printf '#!/bin/sh\\n[ ! -e "$MACHINE/offline" ] || { echo "no network" >&2; exit 1; }\\n' >"$folder/bin/pip"
    printf '#!/bin/sh\\necho "earshot $1" >>"$MACHINE/log"\\n' >"$folder/bin/earshot"
    chmod +x "$folder/bin/pip" "$folder/bin/earshot" ;;
esac
"""


class FakeMachine:
    """Machine with a folder as root, fake commands, and a copy of the project.

    Attributes:
        root: root folder of the installation.
        project: copy of the project.
    """

    def __init__(self, folder):
        self.root, self.project = folder / "root", folder / "project"
        self._state = folder / "state"
        for file in FILES:
            (self.project / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, self.project / file)
        for target, commands in (folder / "bin", COMMANDS), (self.root / "usr/bin", {"python3": PYTHON}):
            target.mkdir(parents=True)
            for name, text in commands.items():
                (target / name).write_text(f"#!/bin/sh\n{text}\n")
                (target / name).chmod(0o755)
        self._state.mkdir()
        (self.root / "run/systemd/system").mkdir(parents=True)
        self._environment = {
            "PATH": f"{folder / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
            "MACHINE": str(self._state),
            "EARSHOT_INSTALL_ROOT": str(self.root),
        }

    def install(self, *arguments, code=0, script=None, **environment):
        """Run the installer, and return its output.

        Args:
            *arguments: arguments of the installer.
            code: expected exit code.
            script: the installer; None for that of the project.
            **environment: variables for the fake commands.
        """
        run = subprocess.run(
            ["bash", script or self.project / "deploy" / "install.sh", *arguments],
            env=self._environment | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert run.returncode == code, run.stdout + run.stderr
        return run.stdout + run.stderr

    def change(self, text="# changed\n"):
        """Change the project, which makes another version."""
        with (self.project / "device" / "__init__.py").open("a") as file:
            file.write(text)

    def offline(self, is_offline):
        """Disconnect PyPI, or connect it again."""
        (self._state / "offline").touch() if is_offline else (self._state / "offline").unlink()

    def turn_off(self):
        """Disable and stop the service, as `systemctl disable --now earshot` does."""
        (self._state / "enabled").unlink()
        (self._state / "running").unlink()

    @property
    def log(self):
        """Calls of the fake commands, one a line."""
        return (self._state / "log").read_text()

    @property
    def running(self):
        """Version that the service runs; None if it does not run."""
        file = self._state / "running"
        return Path(file.read_text().strip()).name if file.exists() else None

    @property
    def current(self):
        """Version that is installed as `current`."""
        return (self.root / "opt/earshot/current").readlink().name

    def files(self):
        """Return every file and folder, with its time of modification."""
        return {path: path.lstat().st_mtime_ns for path in self.root.rglob("*")}
