"""`longshore completion`: the script that lets a shell complete commands, options and jobs."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


_EXAMPLES = """\b
  bash:  longshore completion bash > ~/.local/share/bash-completion/completions/longshore
  zsh:   longshore completion zsh > "${fpath[1]}/_longshore"
  fish:  longshore completion fish > ~/.config/fish/completions/longshore.fish
"""


@click.command(epilog=_EXAMPLES)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script for your shell."""
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    root = click.get_current_context().find_root().command
    click.echo(found(root, {}, "longshore", "_LONGSHORE_COMPLETE").source())
