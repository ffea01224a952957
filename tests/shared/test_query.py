from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, true
from sqlalchemy.engine import Row

from shared import mongo as grammar
from shared.errors import InvalidInput
from shared.models import Job
from shared.mongo import mongo
from shared.principal import Principal
from shared.query import Filters, conditions
from shared.store import Store

JobMaker = Callable[..., Row[Any]]

# ------------------------------------------------------------------------------------------------- filters


def _titles(store: Store, *where: Any) -> list[str]:
    with store.reading() as connection:
        return list(connection.scalars(select(Job.title).where(true(), *where).order_by(Job.number)))


def _filtered(store: Store, **filters: Any) -> list[str]:
    return _titles(store, *conditions(Filters(**filters)))


@pytest.fixture
def jobs(make_job: JobMaker, bob: Principal) -> list[Row[Any]]:
    return [
        make_job(title="Index E. coli", labels=["genome", "urgent"], queue="big", priority=5),
        make_job(title="Index 100% of yeast", labels=["genome"]),
        make_job(title="count_words", draft=True, labels=["text"]),
        make_job(owner=bob, title="bob's own", labels=["Urgent_"]),
    ]


def test_filters_narrow_and_combine(store: Store, jobs: list[Row[Any]]) -> None:
    everything = [job.title for job in jobs]
    assert _filtered(store) == everything
    assert _filtered(store, state=["draft"]) == ["count_words"]
    assert _filtered(store, state=["draft", "queued"]) == everything
    assert _filtered(store, state=["pausing", "cancelling"]) == []
    assert _filtered(store, owner="bob") == ["bob's own"]
    assert _filtered(store, owner="nobody") == []
    assert _filtered(store, label=["genome"]) == everything[:2]
    assert _filtered(store, label=["genome", "urgent"]) == everything[:1]
    assert _filtered(store, type=["echo", "other"]) == everything
    assert _filtered(store, type=["other"]) == []
    assert _filtered(store, version="2") == []
    assert _filtered(store, queue=["big"]) == everything[:1]
    assert _filtered(store, created_after=jobs[1].created_at, created_before=jobs[2].created_at + 1) == everything[1:3]
    assert _filtered(store, updated_after=jobs[3].updated_at) == everything[3:]
    assert _filtered(store, query={"priority": {"$lt": 10}}, owner="alice") == everything[:1]


def test_text_search(store: Store, jobs: list[Row[Any]]) -> None:
    assert _filtered(store, q="index") == ["Index E. coli", "Index 100% of yeast"]
    assert _filtered(store, q="INDEX yeast") == ["Index 100% of yeast"]
    assert _filtered(store, q="100%") == ["Index 100% of yeast"]
    assert _filtered(store, q="%") == ["Index 100% of yeast"]
    assert _filtered(store, q="t_w") == ["count_words"]
    assert _filtered(store, q="\\") == []
    assert _filtered(store, q="urgent") == ["Index E. coli", "bob's own"]
    assert _filtered(store, q="echo '; DROP TABLE job; --") == []
    assert _filtered(store, q="  ") == [job.title for job in jobs]
    assert _filtered(store, q=str(jobs[2].id)) == ["count_words"]
    assert _filtered(store, q=jobs[3].id.hex) == ["bob's own"]
    assert jobs[0].title in _filtered(store, q=str(jobs[0].id)[:13].upper())


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"state": ["waiting"]}, "state"),
        ({"q": "x" * 1000}, "q"),
        ({"q": " ".join("abcdefghijkl")}, "q"),
        ({"q": "nul\0"}, "q"),
        ({"owner": "\0"}, "owner"),
        ({"label": ["\ud800"]}, "label"),
        ({"type": ["x"] * 50}, "type"),
        ({"created_after": 2**63}, "created_after"),
        ({"updated_before": -(2**63) - 1}, "updated_before"),
    ],
)
def test_wrong_filters_are_named(filters: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        conditions(Filters(**filters))
    assert [problem.field for problem in error.value.problems] == [field]


# --------------------------------------------------------------------------------------------- Mongo-style


def _matching(store: Store, query: Any) -> list[str]:
    return _titles(store, mongo(query))


def test_fields_of_a_job(store: Store, jobs: list[Row[Any]]) -> None:
    everything = [job.title for job in jobs]
    assert _matching(store, {}) == everything
    assert _matching(store, {"state": "queued"}) == [everything[0], everything[1], everything[3]]
    assert _matching(store, {"id": str(jobs[1].id)}) == everything[1:2]
    assert _matching(store, {"owner": {"$in": ["bob", "carol"]}}) == everything[3:]
    assert _matching(store, {"labels": "genome"}) == everything[:2]
    assert _matching(store, {"labels": {"$nin": ["genome", "text"]}}) == everything[3:]
    assert _matching(store, {"labels": {"$exists": False}}) == []
    assert _matching(store, {"stage": None}) == everything
    assert _matching(store, {"stage": {"$ne": "first"}}) == everything
    assert _matching(store, {"stage": {"$exists": True}}) == []
    assert _matching(store, {"timeout": {"$not": {"$gt": 1}}}) == everything
    assert _matching(store, {"created_at": {"$gt": "2020-01-01", "$lt": "2999-01-01T00:00:00Z"}}) == everything
    assert _matching(store, {"finished_at": {"$lt": "2999-01-01"}}) == []
    assert _matching(store, {"title": {"$prefix": "Index 1"}}) == everything[1:2]
    assert _matching(store, {"title": {"$contains": "%"}}) == everything[1:2]
    assert _matching(store, {"title": {"$contains": "index"}}) == []
    assert _matching(store, {"$or": [{"priority": 5}, {"state": "draft"}]}) == [everything[0], everything[2]]
    assert _matching(store, {"$nor": [{"priority": 5}, {"state": "draft"}]}) == [everything[1], everything[3]]
    assert _matching(store, {"priority": {"$in": []}}) == []
    assert _matching(store, {"priority": {"$lt": 2**63 - 1, "$gt": -(2**63)}}) == everything
    assert _matching(store, {"number": 2**62}) == []
    assert _matching(store, {"progress": 0}) == everything


@pytest.mark.parametrize(
    "query",
    [
        [],
        "state",
        {"$where": "1 == 1"},
        {"state": {"$regex": ".*"}},
        {"state": {}},
        {"state": {"$gt": "a", "b": 1}},
        {"password": 1},
        {"owner_id": "x"},
        {"args": 1},
        {"args.": 1},
        {"args.a.": 1},
        {"args.a b": 1},
        {"args.0": 1},
        {"args.'": 1},
        {'args."': 1},
        {"args.a[0]": 1},
        {"args.$.a": 1},
        {"args." + ".".join("abcdefghi"): 1},
        {"args.é": 1},
        {"labels": {"$gt": "a"}},
        {"labels": None},
        {"labels": 5},
        {"priority": "high"},
        {"priority": True},
        {"priority": 1.5},
        {"priority": 2**63},
        {"priority": float("nan")},
        {"created_at": "yesterday"},
        {"created_at": 5},
        {"id": "42"},
        {"title": "nul\0"},
        {"title": "x" * 2000},
        {"title": {"$contains": ""}},
        {"priority": {"$contains": "1"}},
        {"args.a": {"b": 1}},
        {"args.a": [1]},
        {"args.a": 2**63},
        {"args.a": float("inf")},
        {"args.a": {"$gt": None}},
        {"args.a": {"$gt": True}},
        {"args.a": {"$in": 5}},
        {"args.a": {"$in": [[1]]}},
        {"args.a": {"$in": list(range(201))}},
        {"args.a": {"$exists": 1}},
        {"args.a": {"$not": 5}},
        {"$or": []},
        {"$or": {}},
        {"$and": [1]},
        {5: 5},
        {"$and": [{"priority": n} for n in range(50)]},
        {"$or": [{"$or": [{"$or": [{"$or": [{"$or": [{"priority": 1}]}]}]}]}]},
        {"args.a": {"$not": {"$not": {"$not": {"$not": {"$not": {"$not": {"$eq": 1}}}}}}}},
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_and_named(query: Any) -> None:
    with pytest.raises(InvalidInput) as error:
        mongo(query)
    assert error.value.problems[0].field.startswith("query")
    assert error.value.problems[0].expected


def test_a_field_that_is_no_string_is_refused() -> None:
    with pytest.raises(InvalidInput):
        mongo({"$and": [{1: 2}]})


DOCUMENTS: list[dict[str, Any]] = [
    {},
    {"a": None},
    {"a": 0},
    {"a": 1},
    {"a": 1.0, "b": 1},
    {"a": -0.0},
    {"a": 0.1},
    {"a": 2**53 + 1, "b": {"c": 2**63 - 1}},
    {"a": -(2**63)},
    {"a": 1e22, "b": {"c": 1.5}},
    {"a": "1"},
    {"a": "", "b": "abc"},
    {"a": "ab%c_\\", "b": {"c": "x"}},
    {"a": "é", "b": {"c": None}},
    {"a": "É", "b": {"c": False}},
    {"a": "\U0001f9ec", "b": {"c": True}},
    {"a": True},
    {"a": False, "b": []},
    {"a": [], "b": {}},
    {"a": {}, "b": {"c": {"d": 1}}},
    {"a": [1, "1"], "b": {"c": [0]}},
    {"a-b": 1, "A": "a", "b": {"c-d": "e"}},
    {"a": "null", "b": "true"},
    {"a": "2026-01-01"},
]
_PATHS = ["args.a", "args.b", "args.b.c", "args.a-b", "args.A", "args.b.c-d", "args.missing", "extra.a", "extra.b.c"]
_scalars = st.one_of(
    st.sampled_from([0, 1, -1, 0.1, 1.0, 1.5, 1e22, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), -0.0]),
    st.sampled_from(["", "1", "a", "ab", "abc", "é", "É", "\U0001f9ec", "%", "_", "\\", "null", "true", "x", "e"]),
)
_values = st.one_of(_scalars, st.none(), st.booleans())
_operation = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$ne"]), _values),
    st.tuples(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), _scalars),
    st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(_values, max_size=4)),
    st.tuples(st.just("$exists"), st.booleans()),
    st.tuples(st.sampled_from(["$prefix", "$contains"]), st.sampled_from(["a", "b%", "\\", "_", "é", "\U0001f9ec"])),
)
_operations = st.lists(_operation, min_size=1, max_size=3).map(dict)
_negated = st.one_of(_operations, _operations.map(lambda inner: {"$not": inner}))
_leaf = st.dictionaries(st.sampled_from(_PATHS), st.one_of(_values, _negated), max_size=2)
_queries = st.recursive(
    _leaf,
    lambda inner: st.dictionaries(
        st.sampled_from(["$and", "$or", "$nor"]), st.lists(inner, min_size=1, max_size=3), min_size=1, max_size=2
    ),
    max_leaves=5,
)

_MISSING = object()


def _at(document: Mapping[str, Any], path: str) -> Any:
    found: Any = document
    for step in path.split("."):
        found = found.get(step, _MISSING) if isinstance(found, dict) else _MISSING
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(value: Any, wanted: Any) -> bool:
    if wanted is None:
        return value is None or value is _MISSING
    if isinstance(wanted, bool):
        return value is wanted
    if isinstance(wanted, str):
        return isinstance(value, str) and value == wanted
    return _is_number(value) and bool(value == wanted)


_COMPARE = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}


def _passes(value: Any, name: str, wanted: Any) -> bool:  # noqa: PLR0911, C901 - one line for each operator
    if name == "$not":
        return not all(_passes(value, inner, each) for inner, each in wanted.items())
    if name == "$ne":
        return not _equal(value, wanted)
    if name == "$in":
        return any(_equal(value, each) for each in wanted)
    if name == "$nin":
        return not any(_equal(value, each) for each in wanted)
    if name == "$exists":
        return (value is not _MISSING) is wanted
    if name == "$prefix":
        return isinstance(value, str) and value.startswith(wanted)
    if name == "$contains":
        return isinstance(value, str) and wanted in value
    if name in _COMPARE:
        same = isinstance(value, str) if isinstance(wanted, str) else _is_number(value)
        return same and bool(_COMPARE[name](value, wanted))
    return _equal(value, wanted)


def _accepts(query: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    return all(_member(name, wanted, document) for name, wanted in query.items())


def _member(name: str, wanted: Any, document: Mapping[str, Any]) -> bool:
    if name in grammar.LOGICAL:
        parts = [_accepts(each, document) for each in wanted]
        return {"$and": all(parts), "$or": any(parts), "$nor": not any(parts)}[name]
    value = _at(document, name)
    if isinstance(wanted, dict):
        return all(_passes(value, inner, each) for inner, each in wanted.items())
    return _equal(value, wanted)


@pytest.fixture
def documents(make_job: JobMaker) -> dict[str, dict[str, Any]]:
    """Jobs by title with what a query sees of them; every second one carries the document in `extra` too."""
    made = {}
    for index, document in enumerate(DOCUMENTS):
        extra = document if index % 2 else None
        make_job(title=str(index), args=document, extra=extra)
        made[str(index)] = {"args": document, **({"extra": extra} if extra is not None else {})}
    return made


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(query=_queries)
def test_sql_agrees_with_a_plain_evaluation(
    store: Store, documents: dict[str, dict[str, Any]], query: dict[str, Any]
) -> None:
    expected = [title for title, document in documents.items() if _accepts(query, document)]
    assert _matching(store, query) == expected


_anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), _scalars),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from([*grammar.FIELDS, *grammar.OPERATORS, *grammar.LOGICAL, "$not", *_PATHS]),
                st.text(max_size=5),
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=10,
)  # fmt: skip


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(query=_anything)
def test_any_json_is_answered_or_refused_clearly(store: Store, query: Any) -> None:
    try:
        condition = mongo(query)
    except InvalidInput:
        return
    _titles(store, condition)
