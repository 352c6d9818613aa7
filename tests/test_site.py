"""Tests of the site of the pages: the strict build of `make check` finds dead links, and each page is in the site."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def project(tmp_path):
    """Make a project of two pages, with the settings and the hooks of the real site."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "deploy").mkdir()
    settings = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[0]
    (tmp_path / "mkdocs.yml").write_text(f"{settings}\nnav: [README.md]\n")
    shutil.copy(ROOT / "docs" / "site_files.py", tmp_path / "docs")
    (tmp_path / "config.yaml").write_text("node_id: balcony\n")
    (tmp_path / "deploy" / "broker.conf").write_text("listener 1883\n")
    (tmp_path / "README.md").write_text("# Earshot\n\n[the page](docs/page.md#a--b)\n")
    (tmp_path / "docs" / "page.md").write_text(
        "# Page\n\n## A & b\n\n[settings](../config.yaml) [examples](../deploy) [start](../README.md#earshot)\n"
    )
    return tmp_path


def build(project):
    """Build the site as `make check` does; return exit code and report."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    done = subprocess.run(command, cwd=project, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_pages_keep_their_links_in_the_site(project):
    """A page that no list has is in the navigation, and its links to files and folders outside docs/ have targets."""
    code, report = build(project)
    assert code == 0, report
    site = project / "site"
    assert 'href="docs/page.html"' in (site / "index.html").read_text()
    page = (site / "docs" / "page.html").read_text()
    assert 'id="a--b"' in page
    for link, target in (("../config.yaml", "config.yaml"), ("../deploy/index.html", "deploy/index.html")):
        assert f'href="{link}"' in page
        assert (site / target).is_file()
    assert (site / "css" / "base.css").is_file()  # of the theme
    assert 'href="broker.conf"' in (site / "deploy" / "index.html").read_text()


@pytest.mark.parametrize("page", ["README.md", "docs/page.md"])
def test_dead_links_fail_the_build(project, page):
    """A missing file, a missing heading, a missing folder and a file outside the project are each reported."""
    dead = ("missing.md", "#nowhere", "../README.md#c" if page != "README.md" else "docs/page.md#c", "folder/", "../..")
    with (project / page).open("a") as text:
        text.write("".join(f"[dead]({link})\n" for link in dead))
    code, report = build(project)
    assert code == 1, report
    assert [link for link in dead if link not in report] == []
