"""What ``mkdocs build`` needs beside its configuration: the pages where they are, and nothing from elsewhere.

Each page named in ``nav`` is read where it stands in the repository and keeps its path on the site; what it links to
comes along. So nothing is copied, and a relative link is right in both places.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

LINK = re.compile(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)")
"""A link to a file, without what has a scheme."""
FETCHED = re.compile(
    r"<(?:script|link(?![^>]*\brel=\"?(?:canonical|next|prev)\b)|img|iframe|source)\b"
    r"[^>]*\b(?:src|href)=\"?((?:https?:)?//[^\"\s>]+)",
    re.IGNORECASE,
)
"""What a browser would fetch from another machine; a link that somebody may click is none."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Exchange what lies in ``docs_dir`` for the pages of ``nav``, the files that they link to and the site's style."""
    root = Path(config.config_file_path).parent
    for file in list(files):
        if file.src_dir == config.docs_dir:
            files.remove(file)
    pages = [root / page for page in _pages(config.nav)]
    style = [root / path for path in (*map(str, config.extra_css), config.theme["logo"])]
    linked = {target for page in pages if page.exists() for target in _linked(page)}
    for path in sorted({*pages, *style, *linked}):
        if path.is_file() and path.is_relative_to(root):
            name = path.relative_to(root).as_posix()
            if path.suffix != ".md" or path in pages:
                files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_post_page(output: str, *, page: Any, config: MkDocsConfig) -> str:  # noqa: ARG001 - the event's own signature
    """Let no page through that fetches something from another machine.

    Raises:
        PluginError: it does.
    """
    fetched = FETCHED.search(output)
    if fetched:
        raise PluginError(f"{page.file.src_uri}: would fetch {fetched[1]}")
    return output


def _pages(nav: Any) -> Iterator[str]:
    """The paths in ``nav``, at every depth."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for each in nav.values():
            yield from _pages(each)
    else:
        for each in nav or ():
            yield from _pages(each)


def _linked(page: Path) -> Iterator[Path]:
    """The files that a page's links and pictures lead to."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        yield (page.parent / target).resolve()
