"""Checks of this machine: the data directory, the disk, the versions, what the kernel must offer, the variables."""

from __future__ import annotations

import ctypes
import os
import platform
import pwd
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from broker_config import PREFIX, Settings, documented
from launcher import embedded
from launcher.doctor.findings import Finding, fail, fine, warn
from shared.errors import ConfigurationError

MIB, GIB = 1024**2, 1024**3
LITTLE, ALMOST_NONE = 5 * GIB, 512 * MIB
NEWEST_CHECKED_PYTHON, OLDEST_PYTHON = (3, 14), (3, 11)
CLIENT_VARIABLES = {"LONGSHORE_URL", "LONGSHORE_TOKEN", "LONGSHORE_PATIENCE"}
NETWORK_FILESYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "lustre", "beegfs", "afs"}
SUBREAPER = 37
"""prctl's number for asking whether orphans are collected; a kernel that answers can do it"""


def data_directory(settings: Settings) -> Iterator[Finding]:
    """It is there, ours and private; so is the admin's token."""
    check, path = "data directory", settings.data_dir
    if not path.exists():
        yield warn(check, f"{path} does not exist yet", "`longshore up` or `longshore db upgrade` makes it")
        return
    found = path.stat()
    if not os.access(path, os.W_OK | os.X_OK):
        yield fail(check, f"{path} cannot be written by this user", f"chown it: it belongs to uid {found.st_uid}")
    elif stat.S_IMODE(found.st_mode) & 0o077:
        yield warn(check, f"{path} is open to other users", f"chmod 700 {path}")
    else:
        yield fine(check, str(path))
    token = path / "admin.token"
    if token.exists() and stat.S_IMODE(token.stat().st_mode) & 0o077:
        yield fail("admin token", f"{token} can be read by other users", f"chmod 600 {token}, then replace the token")
    yield from _network_filesystem(settings)


def _network_filesystem(settings: Settings) -> Iterator[Finding]:
    kind = filesystem(settings.data_dir)
    if settings.database_url.startswith("sqlite") and kind in NETWORK_FILESYSTEMS:
        yield fail(
            "file system",
            f"SQLite in {settings.data_dir}, which is on {kind}: its locks are not to be trusted there",
            "use a local data directory, or PostgreSQL by LONGSHORE_DATABASE_URL",
        )


def filesystem(path: Path) -> str:
    """The kind of file system that `path` is on."""
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    on = [(len(point), kind) for point, kind in mounts if path.is_relative_to(point)]
    return max(on, default=(0, "unknown"))[1]


def disk(settings: Settings) -> Iterator[Finding]:
    """There is space for the database, the files and the work directories."""
    seen: set[int] = set()
    for path in (settings.data_dir, settings.files_dir, settings.work_dir):
        there = next(each for each in (path, *path.parents) if each.exists())
        device = there.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        yield _space(there)


def _space(path: Path) -> Finding:
    usage = shutil.disk_usage(path)
    detail = f"{usage.free / GIB:.1f} GiB free of {usage.total / GIB:.1f} at {path}"
    if usage.free < ALMOST_NONE:
        return fail("disk", detail, "free some space: jobs and the database stop without it")
    if usage.free < LITTLE:
        return warn("disk", detail, "free some space, or move LONGSHORE_FILES_DIR and LONGSHORE_WORK_DIR")
    return fine("disk", detail)


def versions(_settings: Settings) -> Iterator[Finding]:
    """Python and the packages are those this release was made for."""
    python = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        yield fail("python", python, "install Python 3.11 or later")
    elif sys.version_info[:2] > NEWEST_CHECKED_PYTHON:
        yield warn("python", f"{python} is newer than what was tried", "Python 3.11 to 3.14 are known to work")
    else:
        yield fine("python", python)
    wrong = list(_wrong_packages())
    if wrong:
        yield fail("packages", "; ".join(wrong), "install again: `make install`, or `pip install -U longshore`")
    else:
        shown = ", ".join(f"{name} {metadata.version(name)}" for name in ("longshore", "celery", "sqlalchemy"))
        yield fine("packages", shown)


def _wrong_packages() -> Iterator[str]:
    for line in metadata.requires("longshore") or []:
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            yield f"{wanted.name} is missing"
            continue
        if not wanted.specifier.contains(found, prereleases=True):
            yield f"{wanted.name} is {found}, wanted {wanted.specifier}"


def kernel(_settings: Settings) -> Iterator[Finding]:
    """Orphans can be collected and processes be seen: ending a job completely depends on both."""
    answer = ctypes.c_int()
    works = sys.platform == "linux" and ctypes.CDLL(None).prctl(SUBREAPER, ctypes.byref(answer), 0, 0, 0) == 0
    system = f"{platform.system()} {platform.release()}"
    if not works or not Path("/proc/1").exists():
        yield fail("system", f"{system} cannot collect orphans or hides processes", "run workers on Linux with /proc")
    else:
        yield fine("system", f"{system}, {usable_cores()} usable cores")


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def run_as(settings: Settings) -> Iterator[Finding]:
    """Another user for commands needs to exist, and the worker needs the right to become that user."""
    if not settings.run_as:
        if os.getuid() == 0:
            yield warn("user", "jobs run as root", "start as another user, or set LONGSHORE_RUN_AS for commands")
        return
    try:
        pwd.getpwnam(settings.run_as)
    except KeyError:
        yield fail("user", f"there is no user {settings.run_as!r}", "make it, or change LONGSHORE_RUN_AS")
        return
    if os.getuid() != 0:
        yield fail("user", f"only root can run commands as {settings.run_as}", "start the worker as root")
    else:
        yield fine("user", f"commands run as {settings.run_as}")


def broker_program(settings: Settings) -> Iterator[Finding]:
    """Where the private broker is wanted, there is a program for it."""
    if not settings.broker_is_embedded:
        return
    try:
        yield fine("broker program", embedded.find_binary(settings))
    except ConfigurationError as error:
        yield fail("broker program", "none found", error.detail)


def variables(environ: Mapping[str, str]) -> Iterator[Finding]:
    """No LONGSHORE_ variable is one that nothing reads, as a mistyped one would be."""
    known = {name for name, _, _ in documented()} | CLIENT_VARIABLES
    own = {name for name in environ if name.startswith(PREFIX)}
    unknown = {name for name in own - known if not name.startswith(("LONGSHORE_JOB_", "LONGSHORE_TEST_"))}
    if unknown:
        yield warn("variables", f"nothing reads {', '.join(sorted(unknown))}", "see the settings in the reference")
    elif own:
        yield fine("variables", ", ".join(sorted(own)))
