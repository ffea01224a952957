"""Declare job types: `@job_type` checks a declaration while the module is imported and puts it on record."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from importlib.metadata import entry_points as installed_entry_points
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack, overload

from longshore.backoff import Backoff
from longshore.declaration import Input, declaration_of
from longshore.errors import InvalidDeclaration, JobModuleError
from longshore.job import Job
from longshore.schema import Arguments, arguments_of

__all__ = ["ENTRY_POINTS", "REGISTRY", "Input", "JobType", "Options", "job_type", "load"]

ENTRY_POINTS = "longshore.jobs"
"""Group of entry points by which a package offers its job types: each names a module or a job type."""

ArgsT = TypeVar("ArgsT")
Body = Callable[[Job[ArgsT]], object]


class Options(TypedDict, total=False):
    """What a job type may declare beside its name and args; times are seconds."""

    version: str
    title: str
    description: str
    inputs: Mapping[str, Input | Mapping[str, Any]]
    stages: Sequence[str]
    timeout: float | None
    max_attempts: int
    backoff: Backoff
    pause: Literal["park", "suspend", "both"] | Sequence[Literal["park", "suspend"]]
    cancel: Literal["interrupt", "checkpoint"]
    grace: float
    suspend_limit: float
    queue: str
    priority: int


@dataclass(frozen=True)
class JobType(Generic[ArgsT]):
    """A declared job type: the function, and the declaration that is sent to the broker as JSON."""

    name: str
    version: str
    function: Body[ArgsT]
    declaration: dict[str, Any] = field(repr=False)
    arguments: Arguments = field(repr=False)

    def __call__(self, job: Job[ArgsT]) -> object:
        """Run the function, so that a declared function can still be called like any other."""
        return self.function(job)

    @property
    def key(self) -> tuple[str, str]:
        """Name and version."""
        return self.name, self.version

    @property
    def home(self) -> str:
        """Where the function is defined, for people: module and name."""
        return f"{self.function.__module__}.{self.function.__qualname__}"


REGISTRY: dict[tuple[str, str], JobType[Any]] = {}
"""Every job type declared in this process, by name and version."""


@overload
def job_type(
    name: str, *, args: type[ArgsT], **options: Unpack[Options]
) -> Callable[[Body[ArgsT]], JobType[ArgsT]]: ...
@overload
def job_type(name: str, *, args: object = None, **options: Unpack[Options]) -> Callable[[Body[Any]], JobType[Any]]: ...
def job_type(name: str, *, args: Any = None, **options: Unpack[Options]) -> Callable[[Body[Any]], JobType[Any]]:
    """Declare the function below as a job type.

    `args` is a dataclass, a JSON Schema or a marshmallow schema; without it any args are
    taken, as a dictionary. The other options are those of `Options`.

    Raises InvalidDeclaration, naming the job type and the option.
    """

    def declare(function: Body[Any]) -> JobType[Any]:
        try:
            _check_function(function)
            arguments = arguments_of(args)
            declaration = declaration_of(name, arguments.schema, inspect.getdoc(function) or "", options)
        except InvalidDeclaration as error:
            raise InvalidDeclaration(f"job type {name!r}: {error}") from error
        return _register(JobType(name, declaration["version"], function, declaration, arguments))

    return declare


def _check_function(function: object) -> None:
    if not inspect.isfunction(function):
        raise InvalidDeclaration(f"@job_type stands on a function, not on {function!r}")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise InvalidDeclaration("the function must be an ordinary one, neither async nor a generator")
    try:
        inspect.signature(function).bind(object())
    except TypeError as error:
        raise InvalidDeclaration("the function must take one argument, the job") from error


def _register(declared: JobType[Any]) -> JobType[Any]:
    known = REGISTRY.get(declared.key)
    # The same function again is a reload of its module, which is no conflict.
    if known is not None and known.home != declared.home:
        raise InvalidDeclaration(
            f"job type {declared.name!r} version {declared.version!r} is declared twice: "
            f"in {known.home} and in {declared.home}; give one another version"
        )
    REGISTRY[declared.key] = declared
    return declared


# ------------------------------------------------------------------------------------ finding job types


def load(modules: Iterable[str] = (), *, entry_points: bool = True) -> dict[tuple[str, str], JobType[Any]]:
    """Import modules of job types (and what installed packages offer) and give the job types found.

    A module is looked up like `python -m` does it: in the present directory first. Raises JobModuleError,
    naming the module and the cause.
    """
    found: list[JobType[Any]] = []
    for name in modules:
        found += _job_types_of(_import(name), name)
    for point in installed_entry_points(group=ENTRY_POINTS) if entry_points else ():
        found += _offered(point)
    return {declared.key: declared for declared in found}


def _import(name: str) -> object:
    here = os.getcwd()  # noqa: PTH109 - an entry of sys.path is a string
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise JobModuleError(f"there is no module {name!r} (looked in {here} and sys.path)") from error
        raise JobModuleError(f"module {name!r} needs {error.name!r}, which is not installed") from error
    except Exception as error:
        raise JobModuleError(f"module {name!r} cannot be imported: {type(error).__name__}: {error}") from error


def _job_types_of(module: object, name: str) -> list[JobType[Any]]:
    """Give what the module holds, and what modules below it have declared."""
    held = [value for value in vars(module).values() if isinstance(value, JobType)]
    below = [known for known in REGISTRY.values() if f"{known.function.__module__}.".startswith(f"{name}.")]
    if not held + below:
        raise JobModuleError(f"module {name!r} declares no job types: put @job_type on a function in it")
    return held + below


def _offered(point: EntryPoint) -> list[JobType[Any]]:
    try:
        offered = point.load()
    except Exception as error:
        raise JobModuleError(
            f"entry point {point.name!r} = {point.value!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    return [offered] if isinstance(offered, JobType) else _job_types_of(offered, point.value)
