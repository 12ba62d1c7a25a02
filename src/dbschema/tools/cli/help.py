"""Format the help of a command; imported on demand, because Rich is slow to import."""

from __future__ import annotations

import shutil
from argparse import ArgumentParser
from typing import Any, ClassVar

from rich_argparse.contrib import ParagraphRichHelpFormatter

from dbschema.tools.cli.parser import Command, Group, add_parameters

WIDE, WIDEST = 90, 110


class Formatter(ParagraphRichHelpFormatter):
    """A formatter that keeps paragraphs, and colours options, environment variables and quoted words."""

    group_name_formatter = str.capitalize
    help_markup = False
    text_markup = False
    styles: ClassVar[dict[str, Any]] = {
        **ParagraphRichHelpFormatter.styles,
        "argparse.groups": "bold",
        "argparse.prog": "default",
        "argparse.variable": "yellow",
        "argparse.syntax": "green",
    }
    highlights: ClassVar[list[str]] = [
        r"(?:^|\s|[(])(?P<args>--?[a-z][a-z-]*)",
        r"\b(?P<variable>[A-Z]+_[A-Z_]+)\b",
        r"(?:^|\s|[(])(?P<syntax>'[^']+')",
    ]

    def __init__(self, prog: str, **options: Any) -> None:
        width = min(shutil.get_terminal_size().columns - 2, WIDEST)
        # On a wide terminal, the longest option and its help are on one line.
        super().__init__(prog, max_help_position=28 if width < WIDE else 32, width=width, **options)


def text(command: Command | Group, path: str) -> str:
    """Return the help of a command, coloured if standard output is a terminal."""
    parser = ArgumentParser(
        prog=path, usage=f"%(prog)s {command.usage}", description=_paragraphs(command.help),
        formatter_class=Formatter, add_help=False,
    )  # fmt: skip
    arguments: Any = parser
    if isinstance(command, Group):
        for title, commands in command.panels.items():
            panel = parser.add_argument_group(title)
            for member in commands:
                panel.add_argument(member.name, help=_summary(member.help))
    else:
        arguments = parser.add_argument_group("Arguments")
    add_parameters(command, path, arguments, parser.add_argument_group("Options"))
    return f"\n{parser.format_help()}\n"


def _paragraphs(written: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in written.strip().split("\n\n"))


def _summary(written: str) -> str:
    """Return the first sentence."""
    return _paragraphs(written).partition("\n")[0].partition(". ")[0].rstrip(".") + "."
