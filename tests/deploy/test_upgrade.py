"""Tests of the installer on a simulated machine: upgrade, rollback, repair and removal."""


def test_another_version_requires_the_option(machine):
    """Another version replaces the installed one only with --upgrade."""
    machine.install()
    first = machine.current
    machine.change()
    assert "--upgrade" in machine.install(code=69)
    machine.install("--upgrade")
    assert machine.running == machine.current != first


def test_an_interrupted_upgrade_keeps_the_old_version(machine):
    """`current` changes only when the new version is complete."""
    machine.install()
    first = machine.running
    machine.change()
    machine.offline(True)
    machine.install("--upgrade", code=69)
    assert machine.running == machine.current == first


def test_a_version_that_crashes_is_replaced_by_the_old_one(machine):
    """The old version runs again, with its unit; the log of the new one is printed, and the exit code is 70."""
    machine.install()
    first = machine.running
    unit = (machine.root / "etc/systemd/system/earshot.service").read_text()
    machine.change("# crashes\n")
    (machine.project / "deploy/systemd/earshot.service").write_text("[Service]\n")
    output = machine.install("--upgrade", code=70)
    assert machine.running == machine.current == first
    assert (machine.root / "etc/systemd/system/earshot.service").read_text() == unit
    assert "its last log lines" in output
    assert "a line of the journal" in output
    assert [folder.name for folder in (machine.root / "opt/earshot/versions").iterdir()] == [first]


def test_two_versions_are_kept_for_a_rollback(machine):
    """After two upgrades the first version is deleted, and --rollback activates the second."""
    versions = []
    for arguments in ([], ["--upgrade"], ["--upgrade"]):
        machine.install(*arguments)
        versions.append(machine.running)
        machine.change()
    assert {folder.name for folder in (machine.root / "opt/earshot/versions").iterdir()} == set(versions[1:])
    machine.install("--rollback")
    assert machine.running == machine.current == versions[1]


def test_a_disabled_service_stays_disabled(machine):
    """An upgrade does not start a disabled service."""
    machine.install()
    machine.turn_off()
    machine.change()
    output = machine.install("--upgrade")
    assert machine.running is None
    assert "turned off" in output


def test_the_installed_installer_repairs_and_removes_earshot(machine):
    """The installer in the installed version works without the clone: it repairs that version, and uninstalls it."""
    machine.install()
    script = machine.root / "opt/earshot/current/deploy/install.sh"
    (machine.root / "opt/earshot/current/.venv/bin/earshot").unlink()  # as after an upgrade of Debian's Python
    machine.install(script=script)
    assert (machine.root / "opt/earshot/current/.venv/bin/earshot").exists()
    machine.install("--uninstall", script=script)
    assert not (machine.root / "opt/earshot").exists()


def test_uninstall_keeps_config_and_data_without_purge(machine):
    """Config and data stay without --purge, and are deleted with it."""
    machine.install()
    data = machine.root / "var/lib/private/earshot"
    data.mkdir(parents=True)
    machine.install("--uninstall")
    assert machine.running is None
    assert not (machine.root / "opt/earshot").exists()
    assert not (machine.root / "etc/systemd/system/earshot.service").exists()
    assert [path for path in (machine.root / "usr/local").rglob("*") if not path.is_dir()] == []
    assert data.exists()
    assert [path.name for path in (machine.root / "etc/earshot").iterdir()] == ["config.yaml"]
    machine.install("--uninstall", "--purge")
    assert not data.exists()
    assert not (machine.root / "etc/earshot").exists()
