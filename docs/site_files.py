"""Files of the site: the project's pages in their folders, so that links work there as they do in the repository.

mkdocs calls the functions `on_...` (mkdocs.yml). Pages link to files outside docs/, such as ../config.yaml. The site
therefore has the folders of the project: each page of docs/, README.md, and the files to which these link, and so on.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from posixpath import relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)\s#:]+)(#[^)\s]*)?\)")
"""Relative link of Markdown: its path and its fragment."""


def on_config(config: MkDocsConfig) -> None:
    """Make fragments of headings as GitHub does: mkdocs' own differ where a heading has punctuation between spaces."""
    config.mdx_configs["toc"] = {
        "slugify": lambda text, _separator: re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
    }


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return the files of the site; pages of docs/ that mkdocs.yml does not list are added to its navigation."""
    paths = _reachable([ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))])
    of_theme = [file for file in files if file.src_dir != config.docs_dir]
    assert config.nav is not None
    listed = repr(config.nav)
    more = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md"))]
    more = [page for page in more if f"'{page}'" not in listed]
    config.nav += [{"More": more}] if more else []
    return Files([*of_theme, *(_file(path, config) for path in sorted(paths))])


def on_page_markdown(markdown: str, page: Page, **_others: object) -> str:
    """Return the text of a page; a link to a folder leads to the list of its files."""
    folder = (ROOT / page.file.src_uri).parent

    def to_list(match: re.Match[str]) -> str:
        return f"]({match[1].rstrip('/')}/index.md)" if (folder / match[1]).is_dir() else match[0]

    return LINK.sub(to_list, markdown)


def _reachable(pages: list[Path]) -> set[Path]:
    """Return files and folders of the project: the pages, and all to which they link, directly or not."""
    found, queue = set(pages), list(pages)
    while queue:
        for target in _targets(queue.pop()):
            if target.is_relative_to(ROOT) and target.exists() and target not in found:
                found.add(target)
                queue.append(target)
    return found


def _targets(path: Path) -> Iterable[Path]:
    if path.is_dir():
        return _content(path)
    if path.suffix != ".md":
        return []
    return [(path.parent / match[1]).resolve() for match in LINK.finditer(path.read_text())]


def _content(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _file(path: Path, config: MkDocsConfig) -> File:
    """Return a file of the site, under its path in the project; for a folder, a page that lists its files."""
    name = path.relative_to(ROOT).as_posix()
    if not path.is_dir():
        return File.generated(config, name, abs_src_path=str(path))
    links = "".join(f"- [{file.name}]({relpath(file, path)})\n" for file in _content(path))
    return File.generated(config, f"{name}/index.md", content=f"# {name}\n\n{links}")
