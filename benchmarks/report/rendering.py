"""Renders the blocks of a report as one HTML page that needs no other file, and as Markdown."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple

import pandas as pd

TITLE = "Comparison of optimizers"

#: Tables whose cells are all at most so long never break a cell into lines.
LONGEST_UNBROKEN = 40

#: Characters that Markdown would take for structure.
_MARKDOWN = re.compile(r"([\\|*`\[\]])")


class Heading(NamedTuple):
    """A heading; those of level 2 are listed at the top of the page."""

    text: str
    level: int = 2


class Image(NamedTuple):
    """An image that lies inside the page.

    Attributes:
        kind: What follows `image/` in its media type.
        data: The file in base64.
        caption: Text below the image.
    """

    kind: str
    data: str
    caption: str


class Strip(NamedTuple):
    """Small images beside each other."""

    images: Sequence[Image]


#: A heading; a paragraph; a list of sentences; a table of text; a figure; or small images.
Block = Heading | str | list[str] | pd.DataFrame | Image | Strip


def printable(text: str) -> str:
    """Returns text in one line, with a replacement character for each that is not printable (control, direction)."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in " ".join(text.split()))


def to_html(blocks: Sequence[Block]) -> str:
    """Returns the report as one page of HTML, by the template page.html."""
    body, links = [], []
    for block in blocks:
        if isinstance(block, Heading):
            text = _html(block.text)
            mark = f' id="s{len(links) + 1}"' if block.level == 2 else ""
            links += [f'<li><a href="#s{len(links) + 1}">{text}</a></li>'] if mark else []
            body.append(f"<h{block.level}{mark}>{text}</h{block.level}>")
        elif isinstance(block, str):
            body.append(f"<p>{_html(block)}</p>")
        elif isinstance(block, Image):
            body.append(_figure(block))
        elif isinstance(block, pd.DataFrame):
            body.append(f"<div class=wide>{_table(block)}</div>")
        elif isinstance(block, Strip):
            body.append(f"<div class=strip>{''.join(map(_figure, block.images))}</div>")
        else:
            body.append(f"<ul>{''.join(f'<li>{_html(sentence)}</li>' for sentence in block)}</ul>")
    page = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    return page.substitute(title=TITLE, links="".join(links), body="\n".join(body))


def _html(text: str) -> str:
    return escape(printable(text))


def _figure(image: Image) -> str:
    caption = "<br>".join(map(_html, image.caption.splitlines()))
    source = f"data:image/{image.kind};base64,{image.data}"
    return f'<figure><img src="{source}" alt="{_html(image.caption)}"><figcaption>{caption}</figcaption></figure>'


def _table(frame: pd.DataFrame) -> str:
    frame = frame.map(printable)
    is_narrow = frame.map(len).to_numpy().max() <= LONGEST_UNBROKEN
    with pd.option_context("display.max_colwidth", None):  # or pandas cuts long cells
        return frame.to_html(index=False, border=0, justify="left", classes="narrow" if is_narrow else None)


def to_markdown(blocks: Sequence[Block]) -> str:
    """Returns the report as Markdown, with the captions of its images only."""
    parts = [f"# {TITLE}"]
    for block in blocks:
        if isinstance(block, Heading):
            parts.append(f"{'#' * block.level} {_markdown(block.text)}")
        elif isinstance(block, str):
            parts.append(_markdown(block))
        elif isinstance(block, Image):
            parts.append(f"(Figure in the page.) {_markdown(block.caption)}")
        elif isinstance(block, pd.DataFrame):
            # Markdown has one row of headings, so the upper one goes into it.
            names = [name if isinstance(name, str) else " ".join(name).strip() for name in block.columns]
            rows = [names, ["---"] * len(names), *block.to_numpy().tolist()]
            parts.append("\n".join(f"| {' | '.join(map(_markdown, row))} |" for row in rows))
        else:
            sentences = [image.caption for image in block.images] if isinstance(block, Strip) else block
            parts.append("\n".join(f"- {_markdown(sentence)}" for sentence in sentences))
    return "\n\n".join(parts) + "\n"


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", printable(text)).replace("<", "&lt;")
