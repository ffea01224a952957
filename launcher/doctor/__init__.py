"""`longshore doctor`: checks everything an installation stands on, and says what to do about what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

import click

from broker_config import Settings, own_variables, redacted
from launcher.doctor import machine, services
from launcher.doctor.findings import Finding, Status, fail

CHECKS: tuple[Callable[[Settings], Iterable[Finding]], ...] = (
    machine.versions,
    machine.kernel,
    machine.data_directory,
    machine.disk,
    machine.run_as,
    machine.broker_program,
    services.installation,
    services.broker,
    services.database,
)

COLOURS = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "red"}


def examine(settings: Settings, *, as_json: bool) -> int:
    """Print what every check finds; returns the exit status, 1 when something does not work."""
    found = list(findings(settings))
    click.echo(json.dumps([each.shown() for each in found], indent=2) if as_json else report(found))
    return 1 if any(each.status is Status.FAIL for each in found) else 0


def findings(settings: Settings) -> Iterator[Finding]:
    """What the checks find, one after the other; a check that breaks is itself a finding."""
    yield from machine.variables(own_variables())
    for check in CHECKS:
        try:
            yield from check(settings)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other checks are still worth having
            name = check.__name__.replace("_", " ")
            yield fail(name, redacted(f"{type(error).__name__}: {error}"), "this check itself failed; report it")


def report(found: list[Finding]) -> str:
    """For people: one line each, the remedy below it."""
    width = max(len(each.check) for each in found)
    lines = []
    for each in found:
        mark = click.style(f"{each.status:<4}", fg=COLOURS[each.status], bold=each.status is not Status.OK)
        lines.append(f"{mark}  {each.check:<{width}}  {each.detail}")
        if each.remedy:
            lines.append(f"      {'':<{width}}  -> {each.remedy}")
    return "\n".join([*lines, "", _summary(found)])


def _summary(found: list[Finding]) -> str:
    wrong = sum(1 for each in found if each.status is Status.FAIL)
    doubtful = sum(1 for each in found if each.status is Status.WARN)
    if not wrong and not doubtful:
        return "All is well."
    return f"{wrong} wrong, {doubtful} worth a look, {len(found) - wrong - doubtful} fine."
