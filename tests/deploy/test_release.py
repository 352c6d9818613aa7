"""Tests of deploy/release.sh, in a repository of its own, with a `make` that only records its targets."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from device.model.manifest import FORMAT_VERSION
from device.mqtt.messages import SCHEMA

ROOT = Path(__file__).resolve().parent.parent.parent
CHANGELOG = """# Changelog

## Unreleased

### Added

- Something new.

## 0.1.0 - 2026-01-01

- The first version.
"""
FAKE_MAKE = """#!/bin/sh
shift  # --no-print-directory
echo "$1" >>"$RELEASE_LOG"
echo "$1" >>docs/asyncapi.yaml
[ "$1" != "$FAILING" ] || exit 2  # as make does
"""


class Project:
    """Repository with the files that a release changes."""

    def __init__(self, folder):
        self.root = folder / "project"
        self.log = folder / "log"
        self.log.touch()
        (folder / "bin").mkdir()
        (folder / "bin" / "make").write_text(FAKE_MAKE)
        (folder / "bin" / "make").chmod(0o755)
        (self.root / "deploy").mkdir(parents=True)
        (self.root / "docs" / "schemas").mkdir(parents=True)
        shutil.copy(ROOT / "deploy" / "release.sh", self.root / "deploy")
        app = self.root / "deploy" / "home_assistant" / "app"
        app.mkdir(parents=True)
        shutil.copy(ROOT / "deploy" / "home_assistant" / "app" / "config.yaml", app)
        shutil.copy(ROOT / "pyproject.toml", self.root)
        (self.root / "CHANGELOG.md").write_text(CHANGELOG)
        (self.root / "docs" / "asyncapi.yaml").write_text("made from code\n")
        (self.root / "docs" / "schemas" / "config.schema.json").write_text("{}\n")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "RELEASE_LOG": str(self.log),
            "RELEASE_DATE": "2026-11-27",
            "FAILING": "",
            **{
                f"GIT_{who}_{what}": "tester@example.org"
                for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")
            },
        }
        self.git("init", "--quiet")
        self.commit("First commit")

    def git(self, *arguments):
        """Run git, and return its output."""
        command = ["git", *arguments]
        return subprocess.run(
            command, cwd=self.root, env=self.environment, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, message):
        """Commit all changes."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def release(self, version, **environment):
        """Run the script, and return its exit code and its lines."""
        done = subprocess.run(
            [self.root / "deploy" / "release.sh", version],
            env={**self.environment, **environment},
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    def is_untouched(self):
        """Return True if there is no commit, tag or change since the first commit."""
        return (self.git("status", "--porcelain"), self.git("tag"), self.git("log", "--format=%s")) == (
            "",
            "",
            "First commit",
        )


@pytest.fixture
def project(tmp_path):
    """Make a repository with one commit."""
    return Project(tmp_path)


def test_a_release_is_checked_dated_committed_tagged_and_built(project):
    """Version and date are written, the commit is tagged, packages are built from it."""
    code, output = project.release("0.2.0")
    assert code == 0, output
    assert project.log.read_text().split() == ["schemas", "test", "packages"]
    assert project.git("log", "--format=%s").splitlines() == ["Release 0.2.0", "First commit"]
    assert project.git("cat-file", "-t", "v0.2.0") == "tag"
    assert project.git("rev-parse", "v0.2.0^{commit}") == project.git("rev-parse", "HEAD")
    assert 'version = "0.2.0"' in project.git("show", "v0.2.0:pyproject.toml").splitlines()
    assert 'version: "0.2.0"' in project.git("show", "v0.2.0:deploy/home_assistant/app/config.yaml").splitlines()
    headings = [line for line in project.git("show", "v0.2.0:CHANGELOG.md").splitlines() if line.startswith("## ")]
    assert headings == ["## Unreleased", "## 0.2.0 - 2026-11-27", "## 0.1.0 - 2026-01-01"]
    assert "schemas" in project.git("show", "v0.2.0:docs/asyncapi.yaml")


def test_only_the_version_changes_in_pyproject(project):
    """No other line of pyproject.toml changes, such as the versions of tools."""
    before = (project.root / "pyproject.toml").read_text().splitlines()
    assert project.release("7.8.9")[0] == 0
    after = (project.root / "pyproject.toml").read_text().splitlines()
    assert [new for old, new in zip(before, after, strict=True) if old != new] == ['version = "7.8.9"']


def test_the_tests_can_be_left_out(project):
    """With SKIP_TESTS=1, the checks run and the tests do not."""
    assert project.release("0.2.0", SKIP_TESTS="1")[0] == 0
    assert project.log.read_text().split() == ["schemas", "check", "packages"]


@pytest.mark.parametrize("version", ["", "1", "1.2", "v1.2.3", "1.2.3rc1", "01.2.3", "1.2.3 "])
def test_a_wrong_version_is_refused(project, version):
    """The version must be three numbers."""
    code, output = project.release(version)
    assert code == 2
    assert output == f"release: the version is '{version}', must be X.Y.Z. Run: make release VERSION=0.2.0\n"
    assert project.is_untouched()


def test_uncommitted_changes_are_refused(project):
    """An untracked file is enough, because the build would contain it."""
    (project.root / "new.py").write_text("")
    code, output = project.release("0.2.0")
    assert code == 2
    assert output == "release: there are uncommitted changes. Commit or stash them: git status\n"


def test_a_tag_that_exists_is_refused(project):
    """A release is never made twice."""
    project.git("tag", "v0.2.0")
    code, output = project.release("0.2.0")
    assert code == 2
    assert output == "release: the tag v0.2.0 exists. Choose the next version, see docs/versions.md\n"


@pytest.mark.parametrize(
    ("changelog", "message"),
    [
        ("# Changelog\n\n## 0.1.0\n\n- Old.\n", "has no section '## Unreleased'. Add it above the last version"),
        (
            "# Changelog\n\n## Unreleased\n\n### Added\n\n## 0.1.0\n\n- Old.\n",
            "has nothing under '## Unreleased'. Describe there what users notice",
        ),
    ],
)
def test_a_changelog_without_news_is_refused(project, changelog, message):
    """A release describes its changes."""
    (project.root / "CHANGELOG.md").write_text(changelog)
    project.commit("A changelog without news")
    code, output = project.release("0.2.0")
    assert code == 2
    assert output == f"release: CHANGELOG.md {message}\n"
    assert project.log.read_text() == ""


@pytest.mark.parametrize("failing", ["schemas", "test"])
def test_a_failed_check_leaves_the_files_as_before(project, failing):
    """Without a successful check there is no commit and no tag, and the files are restored."""
    code, output = project.release("0.2.0", FAILING=failing)
    assert code == 1
    assert output.endswith("release: not released; the files are as before\n")
    assert project.is_untouched()


def test_a_failed_build_names_both_ways_on(project):
    """Commit and tag exist then; the message names how to go on and how to undo them."""
    code, output = project.release("0.2.0", FAILING="packages")
    assert code == 1
    assert "Correct the cause and run: make packages" in output
    assert "git tag --delete v0.2.0 && git reset --hard HEAD~1" in output
    assert project.git("tag") == "v0.2.0"


def test_the_page_of_versions_names_the_current_ones():
    """docs/versions.md has the schema version of messages and the format version of bundles."""
    page = (ROOT / "docs" / "versions.md").read_text()
    assert f"`schema` {SCHEMA} |" in page
    assert f"`format_version` {FORMAT_VERSION} |" in page
