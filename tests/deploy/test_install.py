"""The installer, in a folder, with commands that stand in for Debian's: what it refuses, does, and undoes.

tests/deploy/arm64.sh and upgrade.sh run it for real.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Of the project, what the installer looks at or copies; of the large folders a file stands for all.
FILES = [
    *("config.yaml", "pyproject.toml", "README.md", "LICENSE", "docs/mqtt.md"),
    *("device/__init__.py", "training/__init__.py", "models/urbansound8k/bundle.json"),
    *("deploy/install.sh", "deploy/packages.sh", "deploy/requirements.txt"),
    *("deploy/systemd/earshot.service", "deploy/systemd/earshot@.service"),
]

# Stand-ins for the commands that change a machine; $MACHINE is the folder that they keep their state in.
COMMANDS = {
    "id": "echo ${FAKE_UID:-0}",
    "dpkg": "echo ${FAKE_ARCHITECTURE:-arm64}",
    "df": "echo Avail; echo ${FAKE_FREE:-4000}",
    "dpkg-query": 'grep -qsx "$4" "$MACHINE/packages" && printf installed',
    "apt-get": """
echo "apt-get $*" >>"$MACHINE/log"
[ "$1" != install ] || for word in "$@"; do echo "$word" >>"$MACHINE/packages"; done""",
    # A service is ready unless its version says that it crashes; it is what `current` was when it was started.
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


class Machine:
    """A Debian to install on, of folders and stand-ins, and a copy of the project."""

    def __init__(self, folder):
        self.root, self.project = folder / "root", folder / "project"
        self._state = folder / "state"
        for file in FILES:
            (self.project / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, self.project / file)
        for where, commands in (folder / "bin", COMMANDS), (self.root / "usr/bin", {"python3": PYTHON}):
            where.mkdir(parents=True)
            for name, text in commands.items():
                (where / name).write_text(f"#!/bin/sh\n{text}\n")
                (where / name).chmod(0o755)
        self._state.mkdir()
        (self.root / "run/systemd/system").mkdir(parents=True)
        self._environment = {
            "PATH": f"{folder / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
            "MACHINE": str(self._state),
            "EARSHOT_INSTALL_ROOT": str(self.root),
        }

    def install(self, *arguments, code=0, script=None, **environment):
        """Run it; gives what it says."""
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
        """Make another version of the project."""
        with (self.project / "device" / "__init__.py").open("a") as file:
            file.write(text)

    def offline(self, is_offline):
        """Whether PyPI can be reached."""
        (self._state / "offline").touch() if is_offline else (self._state / "offline").unlink()

    def turn_off(self):
        """As `systemctl disable --now earshot` does."""
        (self._state / "enabled").unlink()
        (self._state / "running").unlink()

    @property
    def log(self):
        """What the stand-ins were asked, a line each."""
        return (self._state / "log").read_text()

    @property
    def running(self):
        """The version that the service runs, or None."""
        file = self._state / "running"
        return Path(file.read_text().strip()).name if file.exists() else None

    @property
    def current(self):
        """The version that `current` names."""
        return (self.root / "opt/earshot/current").readlink().name

    def files(self):
        """Every file and folder, with its time of change."""
        return {path: path.lstat().st_mtime_ns for path in self.root.rglob("*")}


@pytest.fixture
def machine(tmp_path):
    """A machine on which Earshot can be installed."""
    return Machine(tmp_path)


def test_it_installs_and_starts(machine):
    """After one command the service runs, with the project's settings, its units and the command."""
    said = machine.install()
    assert machine.running == machine.current
    assert (machine.root / "etc/earshot/config.yaml").read_text() == (ROOT / "config.yaml").read_text()
    assert (machine.root / "etc/earshot/models/urbansound8k/bundle.json").exists()
    assert (machine.root / "etc/systemd/system/earshot.service").exists()
    assert (machine.root / "usr/local/bin/earshot").exists()
    assert "earshot check" in machine.log
    assert "done" in said


def test_a_dry_run_changes_nothing(machine):
    """It says each step, for anyone, and touches no file and asks nobody to."""
    before = machine.files()
    said = machine.install("--dry-run", FAKE_UID="1000")
    assert machine.files() == before
    assert not (machine.root.parent / "state" / "log").exists()
    assert "would copy the project" in said
    assert "would start the service" in said


def test_what_a_dry_run_says_is_what_is_done(machine):
    """The steps of a dry run are those of the run after it, in the same words."""
    planned = [line.replace("would ", "") for line in machine.install("--dry-run").splitlines() if "would" in line]
    said = machine.install().splitlines()
    assert [line for line in planned if line not in said] == []
    assert len(planned) > 5


def test_again_changes_no_settings_and_builds_nothing(machine):
    """A second run leaves the version and a changed config.yaml alone."""
    machine.install()
    config = machine.root / "etc/earshot/config.yaml"
    config.write_text("node_id: mine\n")
    complete = (machine.root / "opt/earshot/current/complete").stat().st_mtime_ns
    said = machine.install()
    assert config.read_text() == "node_id: mine\n"
    assert (machine.root / "opt/earshot/current/complete").stat().st_mtime_ns == complete
    assert "stays as it is" in said


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "says"),
    [
        ([], {"FAKE_UID": "1000"}, 69, "sudo"),
        ([], {"FAKE_ARCHITECTURE": "armhf"}, 69, "64-bit Raspberry Pi OS"),
        ([], {"FAKE_PYTHON": "3.9"}, 69, "Bookworm"),
        ([], {"FAKE_PYTHON": "3.15"}, 69, "3.11 to 3.14"),
        ([], {"FAKE_FREE": "200"}, 69, "only 200 MB are free"),
        (["--upgrade"], {}, 69, "not installed"),
        (["--rollback"], {}, 69, "no version before"),
        (["--uninstall"], {}, 69, "not installed"),
        (["--upgrad"], {}, 2, "'--upgrad' is none of"),
        (["--upgrade", "--uninstall"], {}, 2, "exclude each other"),
        (["--purge"], {}, 2, "--uninstall"),
    ],
)
def test_a_machine_or_wish_that_cannot_be(machine, arguments, environment, code, says):
    """It is one clear line, and nothing has been changed."""
    before = {path for path in machine.files() if "run/lock" not in str(path)}
    said = machine.install(*arguments, code=code, **environment)
    assert says in said
    assert len(said.splitlines()) == 1
    assert {path for path in machine.files() if "run/lock" not in str(path)} == before


def test_another_version_is_no_accident(machine):
    """Another version takes the place of the installed one only when --upgrade says so."""
    machine.install()
    first = machine.current
    machine.change()
    assert "--upgrade" in machine.install(code=69)
    machine.install("--upgrade")
    assert machine.running == machine.current != first


def test_beside_the_debian_package_it_is_not_installed(machine):
    """Two installations would fight for one unit."""
    (machine.root.parent / "state" / "packages").write_text("earshot\n")
    assert "Debian package" in machine.install(code=69)


def test_what_was_cut_off_is_done_the_next_time(machine):
    """Without a network it stops before anything runs, and the next run starts where it must."""
    machine.offline(True)
    assert "no network" in machine.install(code=69)
    assert not (machine.root / "opt/earshot/current").exists()
    machine.offline(False)
    machine.install()
    assert machine.running == machine.current


def test_an_upgrade_that_is_cut_off_leaves_the_old_version(machine):
    """Nothing is switched before the new version is complete."""
    machine.install()
    first = machine.running
    machine.change()
    machine.offline(True)
    machine.install("--upgrade", code=69)
    assert machine.running == machine.current == first


def test_a_version_that_crashes_gives_way(machine):
    """The old version runs again, with its unit; the last log lines of the new one are shown; the exit code is 70."""
    machine.install()
    first = machine.running
    unit = (machine.root / "etc/systemd/system/earshot.service").read_text()
    machine.change("# crashes\n")
    (machine.project / "deploy/systemd/earshot.service").write_text("[Service]\n")
    said = machine.install("--upgrade", code=70)
    assert machine.running == machine.current == first
    assert (machine.root / "etc/systemd/system/earshot.service").read_text() == unit
    assert "its last log lines" in said
    assert "a line of the journal" in said
    assert [folder.name for folder in (machine.root / "opt/earshot/versions").iterdir()] == [first]


def test_a_first_version_that_crashes_says_so(machine):
    """There is nothing to go back to: it stays, for its user to correct the fault in the last log lines."""
    machine.change("# crashes\n")
    said = machine.install(code=69)
    assert "its last log lines" in said
    assert "a line of the journal" in said
    assert "does not become ready" in said


def test_two_versions_are_kept_and_one_can_go_back(machine):
    """After two upgrades the first version is gone, and --rollback brings back the second."""
    versions = []
    for arguments in ([], ["--upgrade"], ["--upgrade"]):
        machine.install(*arguments)
        versions.append(machine.running)
        machine.change()
    assert {folder.name for folder in (machine.root / "opt/earshot/versions").iterdir()} == set(versions[1:])
    machine.install("--rollback")
    assert machine.running == machine.current == versions[1]


def test_a_service_that_was_turned_off_stays_off(machine):
    """An upgrade does not start what its user has disabled."""
    machine.install()
    machine.turn_off()
    machine.change()
    said = machine.install("--upgrade")
    assert machine.running is None
    assert "turned off" in said


def test_without_systemd_nothing_is_started(machine):
    """In a chroot, where an image is made, it is installed for the first boot."""
    (machine.root / "run/systemd/system").rmdir()
    said = machine.install()
    assert "nothing is started" in said
    assert "restart" not in machine.log
    assert (machine.root / "opt/earshot/current/complete").exists()


def test_the_installed_copy_mends_and_removes_itself(machine):
    """The clone may be gone: the installed project has the installer, which finds itself to be that version."""
    machine.install()
    script = machine.root / "opt/earshot/current/deploy/install.sh"
    (machine.root / "opt/earshot/current/.venv/bin/earshot").unlink()  # as after an upgrade of Debian's Python
    machine.install(script=script)
    assert (machine.root / "opt/earshot/current/.venv/bin/earshot").exists()
    machine.install("--uninstall", script=script)
    assert not (machine.root / "opt/earshot").exists()


def test_uninstall_keeps_what_is_the_users_and_purge_does_not(machine):
    """Settings and data stay without --purge, and nothing does with it."""
    machine.install()
    data = machine.root / "var/lib/private/earshot"
    data.mkdir(parents=True)
    machine.install("--uninstall")
    assert machine.running is None
    assert not (machine.root / "opt/earshot").exists()
    assert not (machine.root / "etc/systemd/system/earshot.service").exists()
    assert data.exists()
    assert [path.name for path in (machine.root / "etc/earshot").iterdir()] == ["config.yaml"]
    machine.install("--uninstall", "--purge")
    assert not data.exists()
    assert not (machine.root / "etc/earshot").exists()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing():
    """Every shell script of the project is clean."""
    scripts = [*(ROOT / "deploy").rglob("*.sh"), *(ROOT / "tests").rglob("*.sh")]
    said = subprocess.run(["shellcheck", "-x", *scripts], cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.stdout == ""
