"""Tests of the installer on a simulated machine: installation, refusals, and shellcheck."""

import shutil
import subprocess

import pytest
from fake_machine import ROOT


def test_the_installer_installs_and_starts_the_service(machine):
    """After one command the service runs, with the project's config, the units and the command `earshot`."""
    output = machine.install()
    assert machine.running == machine.current
    assert (machine.root / "etc/earshot/config.yaml").read_text() == (ROOT / "config.yaml").read_text()
    assert (machine.root / "etc/earshot/models/urbansound8k/bundle.json").exists()
    assert (machine.root / "etc/systemd/system/earshot.service").exists()
    assert (machine.root / "usr/local/bin/earshot").exists()
    for file in ("bash-completion/completions/earshot", "zsh/site-functions/_earshot"):
        assert "_shtab_earshot" in (machine.root / "usr/local/share" / file).read_text()
    assert "earshot check" in machine.log
    assert "done" in output


def test_a_dry_run_changes_nothing(machine):
    """A dry run prints each step without root, changes no file and calls no command."""
    before = machine.files()
    output = machine.install("--dry-run", FAKE_UID="1000")
    assert machine.files() == before
    assert not (machine.root.parent / "state" / "log").exists()
    assert "would copy the project" in output
    assert "would start the service" in output


def test_a_dry_run_prints_the_steps_of_a_run(machine):
    """The steps of a dry run are the steps of the next run, word for word."""
    planned = [line.replace("would ", "") for line in machine.install("--dry-run").splitlines() if "would" in line]
    output = machine.install().splitlines()
    assert [line for line in planned if line not in output] == []
    assert len(planned) > 5


def test_a_second_installation_changes_nothing(machine):
    """A second run keeps the installed version and a changed config.yaml."""
    machine.install()
    config = machine.root / "etc/earshot/config.yaml"
    config.write_text("node_id: mine\n")
    complete = (machine.root / "opt/earshot/current/complete").stat().st_mtime_ns
    output = machine.install()
    assert config.read_text() == "node_id: mine\n"
    assert (machine.root / "opt/earshot/current/complete").stat().st_mtime_ns == complete
    assert "stays as it is" in output


@pytest.mark.parametrize(("option", "unit"), [("--web", "earshot-web"), ("--notify", "earshot-notify")])
def test_a_companion_is_off_unless_asked_for(machine, option, unit):
    """The unit is installed and not turned on; with its option it is on, and an upgrade keeps that."""
    machine.install()
    assert (machine.root / f"etc/systemd/system/{unit}.service").exists()
    assert f"enable --quiet {unit}" not in machine.log
    assert f"systemctl restart {unit}" not in machine.log
    machine.install(option)
    assert f"systemctl enable --quiet {unit}.service" in machine.log
    assert f"systemctl restart {unit}.service" in machine.log
    machine.change()
    machine.install("--upgrade")
    assert f"systemctl try-restart {unit}.service" in machine.log.splitlines()[-2:]
    machine.install("--uninstall")
    assert not list(machine.root.glob("etc/systemd/system/earshot*"))


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "message"),
    [
        ([], {"FAKE_UID": "1000"}, 69, "sudo"),
        (["--uninstall", "--web"], {}, 2, "--web goes with an installation"),
        (["--rollback", "--notify"], {}, 2, "--notify goes with an installation"),
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
def test_an_unsupported_machine_or_option_is_refused(machine, arguments, environment, code, message):
    """The refusal is one clear line, and nothing has changed."""
    before = {path for path in machine.files() if "run/lock" not in str(path)}
    output = machine.install(*arguments, code=code, **environment)
    assert message in output
    assert len(output.splitlines()) == 1
    assert {path for path in machine.files() if "run/lock" not in str(path)} == before


def test_an_installed_debian_package_is_refused(machine):
    """Two installations would have the same unit."""
    (machine.root.parent / "state" / "packages").write_text("earshot\n")
    assert "Debian package" in machine.install(code=69)


def test_an_interrupted_installation_is_completed_by_the_next_run(machine):
    """Without a network the installer stops before the service runs, and the next run completes the installation."""
    machine.offline(True)
    assert "no network" in machine.install(code=69)
    assert not (machine.root / "opt/earshot/current").exists()
    machine.offline(False)
    machine.install()
    assert machine.running == machine.current


def test_a_first_version_that_crashes_stays_installed(machine):
    """Without an older version the new one stays, and its log is printed, so the user can repair it."""
    machine.change("# crashes\n")
    output = machine.install(code=69)
    assert "its last log lines" in output
    assert "a line of the journal" in output
    assert "does not become ready" in output


def test_without_systemd_nothing_is_started(machine):
    """In a chroot, as for an image, Earshot is installed for the first boot."""
    (machine.root / "run/systemd/system").rmdir()
    output = machine.install()
    assert "nothing is started" in output
    assert "restart" not in machine.log
    assert (machine.root / "opt/earshot/current/complete").exists()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_reports_nothing():
    """Every shell script of the project passes shellcheck."""
    scripts = [*(ROOT / "deploy").rglob("*.sh"), *(ROOT / "tests").rglob("*.sh")]
    check = subprocess.run(["shellcheck", "-x", *scripts], cwd=ROOT, capture_output=True, text=True, check=False)
    assert check.stdout == ""
