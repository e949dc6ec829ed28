"""`monitor guide`: shows the manual in the terminal."""

from __future__ import annotations

import click

from monitor.cli.output import say
from monitor.core.errors import ConfigError


@click.command()
@click.argument("topic", required=False)
def guide(topic: str | None) -> None:
    """Show a page of the manual. Without TOPIC the pages are listed.

    \b
    Examples:
      monitor guide
      monitor guide alarms
      monitor guide settings
    """
    from monitor.guide import page, topics

    titles = topics()
    if topic is None:
        width = max(map(len, titles))
        rows = [f"  {name:<{width}}  {title}" for name, title in titles.items()]
        say("\n".join(["monitor guide TOPIC shows one of these pages:", *rows]))
        return
    if topic not in titles:
        raise ConfigError(f"The manual has no page {topic!r}. Its pages are: {', '.join(titles)}.")
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console(highlight=False)
    text = Markdown(page(topic), hyperlinks=False)
    if not console.is_terminal:
        console.print(text)
        return
    with console.pager(styles=True):
        console.print(text)
