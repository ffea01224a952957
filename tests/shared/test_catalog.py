from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.engine import Row

from shared import catalog
from shared.declaration import completed
from shared.errors import AlreadyExists, InvalidInput, NotFound, NotPermitted, NotPossible
from shared.principal import Principal, Scope
from shared.store import Effects, Store
from tests.shared.conftest import ECHO, person

COUNT = {
    "kind": "command",
    "name": "count_words",
    "args": {
        "type": "object",
        "properties": {"k": {"type": "integer", "minimum": 1}, "mode": {"enum": ["fast", "slow"]}},
        "required": ["k"],
        "additionalProperties": False,
    },
    "inputs": {"text": {}},
    "command": {"argv": ["wc", "-w", "${input.text}"]},
}


def _problems(error: pytest.ExceptionInfo[InvalidInput]) -> dict[str, str]:
    return {problem.field: problem.expected for problem in error.value.problems}


# --------------------------------------------------------------------------------------------- declarations


def test_a_declaration_is_filled_in() -> None:
    found = completed(COUNT)
    assert found["version"] == "1"
    assert found["title"] == "Count words"
    assert found["pause"] == ["suspend"]
    assert found["inputs"]["text"] == {"required": True, "multiple": False, "media_types": [], "description": ""}
    assert found["command"]["exit_codes"] == {}
    assert completed(found) == found


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "../etc"}, "name"),
        ({"name": "line\n"}, "name"),
        ({"kind": "shell"}, "kind"),
        ({"colour": "red"}, "colour"),
        ({"args": {"type": "objekt"}}, "args.type"),
        ({"args": {"$ref": "https://example.com/schema.json"}}, "args.$ref"),
        ({"args": {"properties": {"a": {"$ref": "file:///etc/passwd"}}}}, "args.properties.a.$ref"),
        ({"inputs": {"a b": {}}}, "inputs"),
        ({"inputs": {"a": {"need": True}}}, "inputs.a.need"),
        ({"stages": ["a", "a"]}, "stages"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"max_attempts": 10**30}, "max_attempts"),
        ({"pause": ["vacate"]}, "pause.0"),
        ({"backoff": {"first": -1}}, "backoff.first"),
        ({"command": {"argv": []}}, "command.argv"),
        ({"command": {"argv": ["x"], "exit_codes": {"0": {"name": "fine"}}}}, "command.exit_codes"),
        ({"command": {"argv": ["x"], "exit_codes": {"2": {"name": "bad", "category": "USER"}}}},
         "command.exit_codes.2.category"),
        ({"command": {"argv": ["wc", "${args.length}"]}}, "command.argv.1"),
        ({"command": {"argv": ["${args.k}"]}}, "command.argv.0"),
        ({"title": "nul \0"}, "title"),
        ({"kind": "python"}, "command"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_refused_with_the_field_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        completed({**COUNT, **changes})
    assert field in _problems(error)


def test_missing_fields_of_a_declaration_are_named() -> None:
    with pytest.raises(InvalidInput) as error:
        completed({})
    assert _problems(error).keys() == {"kind", "name"}
    with pytest.raises(InvalidInput) as error:
        completed({"kind": "command", "name": "x"})
    assert _problems(error).keys() == {"command"}
    with pytest.raises(InvalidInput):
        completed("not an object")


# ------------------------------------------------------------------------------------------------- workers


def test_declaring_again_changes_nothing(store: Store) -> None:
    first = catalog.declare(store, [ECHO], "w1")
    assert catalog.declare(store, [ECHO], "w2") == first
    assert len(catalog.revisions(store, "echo", "1").items) == 1


def test_a_changed_declaration_is_a_new_revision_and_the_old_one_stays(store: Store) -> None:
    first = catalog.declare(store, [ECHO], "w1")["echo", "1"]
    second = catalog.declare(store, [{**ECHO, "timeout": 5}], "w2")["echo", "1"]
    assert catalog.find(store, "echo", "1").revision == second != first
    assert [row.hash for row in catalog.revisions(store, "echo", "1").items] == [second, first]
    assert catalog.revision(store, first).declaration["timeout"] is None
    catalog.declare(store, [ECHO], "w1")
    assert catalog.find(store, "echo", "1").revision == first


def test_offered_are_all_revisions_that_the_same_code_can_run(store: Store) -> None:
    declarations = [ECHO, {**ECHO, "timeout": 5}, {**ECHO, "stages": ["other"]}, {**ECHO, "version": "2"}]
    first, slower, restaged, _ = (next(iter(catalog.declare(store, [each], "w").values())) for each in declarations)
    assert catalog.offered(store, [ECHO]) == {first, slower}
    assert catalog.offered(store, [declarations[2]]) == {restaged}


def test_a_python_type_cannot_take_the_name_of_a_command(store: Store, admin: Principal) -> None:
    catalog.define(store, admin, COUNT)
    with pytest.raises(AlreadyExists, match="command"):
        catalog.declare(store, [{"kind": "python", "name": "count_words"}], "w")
    assert catalog.find(store, "count_words", "1").kind == "command"


# -------------------------------------------------------------------------------------------------- submit


def test_current_is_the_highest_active_version(store: Store, admin: Principal) -> None:
    for version in ("1.9", "1.10", "1.2"):
        catalog.declare(store, [{**ECHO, "version": version}], "w")
    with store.reading() as connection:
        row, declaration = catalog.current(connection, "echo")
        assert row.version == declaration["version"] == "1.10"
        assert catalog.current(connection, "echo", "1.2")[0].version == "1.2"
    catalog.retire(store, admin, "echo", "1.10", active=False)
    with store.reading() as connection:
        assert catalog.current(connection, "echo")[0].version == "1.9"
        with pytest.raises(InvalidInput, match="retired"):
            catalog.current(connection, "echo", "1.10")


def test_an_unknown_type_or_version_is_named_with_what_there_is(store: Store, echo: str) -> None:
    assert echo
    with store.reading() as connection:
        with pytest.raises(InvalidInput) as error:
            catalog.current(connection, "ecco")
        assert "echo" in _problems(error)["type"]
        with pytest.raises(InvalidInput) as error:
            catalog.current(connection, "echo", "7")
        assert _problems(error) == {"version": "one of: 1"}
        with pytest.raises(InvalidInput):
            catalog.current(connection, "nul\0")


@pytest.mark.parametrize(
    ("args", "field"),
    [
        ({}, "args.k"),
        ({"k": "many"}, "args.k"),
        ({"k": 0}, "args.k"),
        ({"k": 1, "mode": "turbo"}, "args.mode"),
        ({"k": 1, "extra": 1}, "args.extra"),
        ({"k": 2**70}, "args.k"),
        ({"k": 1, "mode": "\0"}, "args.mode"),
        ({"k": float("inf")}, "args.k"),
        ([], "args"),
        (None, "args"),
    ],
)
def test_args_that_do_not_fit_are_named(args: Any, field: str) -> None:
    assert [problem.field for problem in catalog.validate_args(COUNT, args)] == [field]


def test_args_that_fit() -> None:
    assert catalog.validate_args(COUNT, {"k": 3, "mode": "fast"}) == []
    assert catalog.validate_args({}, {"anything": [1, {"goes": None}]}) == []


def test_args_are_bounded_in_depth() -> None:
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    assert catalog.validate_args({}, {"deep": deep})


# ------------------------------------------------------------------------------------------ administration


def test_only_admins_define_types(store: Store, alice: Principal) -> None:
    with pytest.raises(NotPermitted):
        catalog.define(store, alice, COUNT)


def test_define_and_revise_a_command(store: Store, admin: Principal) -> None:
    made = catalog.define(store, admin, {key: value for key, value in COUNT.items() if key != "kind"})
    assert (made.kind, made.declaration["name"], made.paused, made.is_active) == ("command", "count_words", False, True)
    with pytest.raises(AlreadyExists):
        catalog.define(store, admin, COUNT)
    revised = catalog.revise(store, admin, "count_words", "1", {"timeout": 60})
    assert revised.declaration["timeout"] == 60
    assert revised.declaration["command"]["argv"] == COUNT["command"]["argv"]  # type: ignore[index]
    assert revised.revision != made.revision
    with pytest.raises(InvalidInput):
        catalog.revise(store, admin, "count_words", "1", {"name": "other"})


def test_python_types_are_neither_defined_nor_revised_over_the_api(store: Store, admin: Principal, echo: str) -> None:
    assert echo
    with pytest.raises(InvalidInput):
        catalog.define(store, admin, {"kind": "python", "name": "x"})
    with pytest.raises(NotPossible):
        catalog.revise(store, admin, "echo", "1", {"timeout": 1})


def test_a_type_with_jobs_is_not_removed(store: Store, admin: Principal, make_job: Callable[..., Row[Any]]) -> None:
    make_job()
    with pytest.raises(NotPossible):
        catalog.remove(store, admin, "echo", "1")
    catalog.define(store, admin, COUNT)
    catalog.remove(store, admin, "count_words", "1")
    with pytest.raises(NotFound):
        catalog.find(store, "count_words", "1")


def test_pausing_and_resuming_a_type_wakes_its_queues(
    store: Store, admin: Principal, make_job: Callable[..., Row[Any]]
) -> None:
    woken: list[Effects] = []
    make_job(queue="gpu")
    store.after_commit = woken.append
    paused = catalog.pause_type(store, admin, "echo", "1", "maintenance")
    assert (paused.paused, paused.pause_reason) == (True, "maintenance")
    resumed = catalog.resume_type(store, admin, "echo", "1")
    assert (resumed.paused, resumed.pause_reason) == (False, None)
    assert woken[-1].wake == {"gpu"}


def test_pausing_needs_the_scope_for_workers(store: Store, alice: Principal, echo: str) -> None:
    assert echo
    for act in (catalog.pause_type, catalog.resume_type):
        with pytest.raises(NotPermitted):
            act(store, alice, "echo", "1")
    with pytest.raises(NotPermitted):
        catalog.pause_queue(store, alice, "default")
    operator = person(store, "operator", frozenset({Scope.WORKERS}))
    catalog.pause_type(store, operator, "echo", "1")
    catalog.pause_queue(store, operator, "default")
    catalog.pause_queue(store, operator, "default", "again")
    catalog.resume_queue(store, operator, "default")


def test_types_are_listed_by_page(store: Store) -> None:
    catalog.declare(store, [{**ECHO, "name": f"t{i}"} for i in range(5)], "w")
    seen, cursor = [], None
    while True:
        page = catalog.list_types(store, limit=2, cursor=cursor)
        seen += [row.name for row in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == [f"t{i}" for i in range(5)]
