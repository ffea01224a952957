"""Runs a command as the body of a job: under the shim, with its output taken down while it runs.

The agent stops, continues, terminates and kills the command's tree; this runner outlives all of that and tells how
the command ended. Two things it ends itself: a command whose time is up, and one whose job is no longer ours.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

from shared.errors import InvalidInput
from shared.template import Rendered, Values, render, with_defaults
from worker.runners import outputs
from worker.runners.contract import CommandContext, CommandError, CommandExecution, CommandOutcome
from worker.runners.conversation import Attention, Bounds, pokes
from worker.runners.shim_process import Exit, Identity, ShimProcess

__all__ = ["CommandContext", "CommandError", "CommandExecution", "CommandOutcome", "run_command"]

OUTPUT = "output"
"""folder of the work directory that `${job_output_dir}` names"""
TEMPORARY = "tmp"
"""folder of the work directory that TMPDIR names"""
_OUT_OF_MEMORY_KILLS = "oom_kill "


def run_command(execution: CommandExecution, context: CommandContext) -> CommandOutcome:
    """Run the command to its end; no process of it is left then, and its outputs are saved if it completed."""
    try:
        identity = Identity.of(execution.run_as) if execution.run_as else None
        _prepare(context.workdir, identity)
        rendered = _rendered(execution, context)
    except InvalidInput as error:
        return CommandOutcome(error=CommandError("bad-arguments", error.title, "DATA", error.detail))
    except (KeyError, PermissionError) as error:
        return CommandOutcome(error=_not_started(f"cannot run as user {execution.run_as}: {error}"))
    kills = _out_of_memory_kills()
    end, timed_out = _run(execution, context, rendered, identity)
    memory_ran_out = end.signal == signal.SIGKILL and _out_of_memory_kills() > kills
    outcome = CommandOutcome(
        exit_code=end.exit_code,
        signal=end.signal,
        error=_error(execution, end, timed_out=timed_out, memory_ran_out=memory_ran_out),
        timed_out=timed_out,
        flag=context.slot.flag,
        max_rss_kib=end.max_rss_kib,
        cpu_seconds=end.cpu_seconds,
    )
    if outcome.error is None:
        _save_outputs(context, identity.uid if identity else os.getuid())
    return outcome


# ------------------------------------------------------------------------------------------- before the start


def _prepare(workdir: Path, identity: Identity | None) -> None:
    for path in (workdir, workdir / OUTPUT, workdir / TEMPORARY):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if identity:
            os.chown(path, identity.uid, identity.gid)


def _rendered(execution: CommandExecution, context: CommandContext) -> Rendered:
    values = Values(
        args=with_defaults(execution.args_schema, context.args),
        inputs=context.inputs,
        job_output_dir=context.workdir / OUTPUT,
        job_work_dir=context.workdir,
        job_id=context.job_id,
        attempt=context.attempt,
    )
    rendered = render(execution.command, values)
    return Rendered(rendered.argv, _environment(execution, context, rendered.environment))


def _environment(execution: CommandExecution, context: CommandContext, declared: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the worker's own environment: it may hold credentials."""
    return {
        "PATH": execution.search_path,
        "LANG": "C.UTF-8",
        "HOME": str(context.workdir),
        "TMPDIR": str(context.workdir / TEMPORARY),
        **declared,
        "LONGSHORE_JOB_ID": context.job_id,
        "LONGSHORE_JOB_ATTEMPT": str(context.attempt),
        "LONGSHORE_JOB_URL": context.job_url,
        "LONGSHORE_JOB_TOKEN": context.job_token,
    }


# -------------------------------------------------------------------------------------------- while it runs


def _run(
    execution: CommandExecution, context: CommandContext, rendered: Rendered, identity: Identity | None
) -> tuple[Exit, bool]:
    limits = execution.command.get("limits") or {}
    shim = ShimProcess(rendered.argv, rendered.environment, context.workdir, limits, identity)
    try:
        bounds = Bounds(execution, context.slot, shim)
        with pokes() as poked, Attention(shim, context, poked) as attention:
            while not attention.turn():
                bounds.keep()
            end = shim.exit()
            attention.read_the_rest()
        return end, bounds.time_is_up
    finally:
        shim.close()


# ------------------------------------------------------------------------------------------------ at the end


def _error(execution: CommandExecution, end: Exit, *, timed_out: bool, memory_ran_out: bool) -> CommandError | None:
    if end.error:
        return _not_started(end.error)
    if timed_out:
        message = f"it ran for more than {execution.timeout:g} s"
        return CommandError("timeout", "The time limit has passed.", "ALGORITHM", message)
    if memory_ran_out:
        return CommandError("oom", "The system ran out of memory.", "SYSTEM", "killed by the kernel")
    if end.signal is not None:
        name = signal.Signals(end.signal).name if end.signal in list(signal.Signals) else str(end.signal)
        return CommandError(f"signal-{end.signal}", "The command was ended by a signal.", "SYSTEM", name)
    return _exit_error(execution, end.exit_code or 0)


def _exit_error(execution: CommandExecution, code: int) -> CommandError | None:
    if code == 0:
        return None
    mapped = (execution.command.get("exit_codes") or {}).get(str(code))
    if mapped is None:
        return CommandError(f"exit-{code}", "The command failed.", "ALGORITHM", f"exit code {code}")
    title, category = mapped.get("title") or mapped["name"], mapped.get("category") or "ALGORITHM"
    said = f"{mapped['title']} (exit code {code})" if mapped.get("title") else f"exit code {code}"
    return CommandError(mapped["name"], title, category, said)


def _not_started(message: str) -> CommandError:
    return CommandError("cannot-start", "The command could not be started.", "SYSTEM", message)


def _out_of_memory_kills() -> int:
    """How many processes of this machine the kernel has killed for want of memory."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(_OUT_OF_MEMORY_KILLS))


def _save_outputs(context: CommandContext, owner: int) -> None:
    for found in outputs.find(context.workdir / OUTPUT, owner):
        if found.refusal:
            context.write_log("log", f"not taken as an output: {found.name!r}: {found.refusal}\n".encode())
        else:
            context.save_output(found.name, found.path)
