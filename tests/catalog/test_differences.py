"""The comparison of two catalogs, as a function of two values."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dbschema.catalog.differences import Difference, compare
from dbschema.catalog.introspect import parents_of
from dbschema.catalog.model import KINDS, Catalog
from dbschema.ddl import Identity

names = st.sampled_from(["users", "orders", "tenant_id", "x"])
values: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["a", "b"])
attributes = st.dictionaries(st.sampled_from(["type", "definition", "comment"]), values)
identities = st.builds(
    lambda kind, schema, table, name: Identity(
        kind, schema, name if kind in {"table", "view"} else table, name
    ),
    st.sampled_from(KINDS),
    st.sampled_from([None, "shop"]),
    st.sampled_from(["", "users", "orders"]),
    names,
)
catalogs = st.dictionaries(identities, attributes, max_size=8).map(
    lambda entries: Catalog(entries, parents_of(entries))
)
bare_catalogs = st.dictionaries(identities, attributes, max_size=8).map(Catalog)

USERS = Identity("table", None, "users", "users")
EMAIL = Identity("column", None, "users", "email")
VIEW = Identity("view", None, "names", "names")


@given(catalogs)
def test_a_catalog_does_not_differ_from_itself(catalog: Catalog) -> None:
    assert compare(catalog, catalog) == ()


@given(catalogs, catalogs)
def test_the_other_way_round_missing_is_extra(first: Catalog, second: Catalog) -> None:
    mirrored = {"missing": "extra", "extra": "missing", "changed": "changed"}

    forth, back = compare(first, second), compare(second, first)

    assert {(item.identity, item.change, item.attribute, item.expected, item.actual) for item in forth} == {
        (item.identity, mirrored[item.change], item.attribute, item.actual, item.expected) for item in back
    }


@given(bare_catalogs, bare_catalogs)
def test_applying_what_is_told_gives_the_wanted_catalog(expected: Catalog, actual: Catalog) -> None:
    """Without parents nothing is left untold."""
    result = {identity: dict(entry) for identity, entry in actual.entries.items()}

    for item in compare(expected, actual):
        if item.change == "missing":
            result[item.identity] = dict(expected[item.identity])
        elif item.change == "extra":
            del result[item.identity]
        else:
            assert item.attribute is not None
            assert result[item.identity].get(item.attribute) == item.actual
            result[item.identity][item.attribute] = item.expected

    assert compare(expected, Catalog(result)) == ()


@given(catalogs, catalogs)
def test_nothing_is_told_of_what_goes_with_another(expected: Catalog, actual: Catalog) -> None:
    differences = compare(expected, actual)

    missing = expected.entries.keys() - actual.entries.keys()
    extra = actual.entries.keys() - expected.entries.keys()
    assert all(
        expected.parents.get(item.identity) not in missing for item in differences if item.change == "missing"
    )
    assert all(
        actual.parents.get(item.identity) not in extra for item in differences if item.change == "extra"
    )
    hidden = (missing | extra) - {item.identity for item in differences}
    assert all(
        expected.parents.get(identity) in missing or actual.parents.get(identity) in extra
        for identity in hidden
    )


@given(catalogs, catalogs, st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_order_of_reading(
    first: Catalog, second: Catalog, random: Any
) -> None:
    def shuffled(catalog: Catalog) -> Catalog:
        entries = list(catalog.entries.items())
        random.shuffle(entries)
        return Catalog(dict(entries), catalog.parents)

    assert compare(shuffled(first), shuffled(second)) == compare(first, second)


@given(catalogs, catalogs, st.sampled_from(KINDS))
def test_what_is_ignored_is_all_that_is_left_out(first: Catalog, second: Catalog, kind: str) -> None:
    differences = compare(first, second)

    assert compare(first, second, ignore=lambda identity: identity.kind == kind) == tuple(
        item for item in differences if item.kind != kind
    )


def test_only_the_attributes_that_differ_are_told() -> None:
    expected = Catalog({EMAIL: {"type": "text", "not null": True, "comment": None}})
    actual = Catalog({EMAIL: {"type": "integer", "not null": True, "comment": "x"}})

    differences = compare(expected, actual)

    assert differences == (
        Difference(EMAIL, "changed", "comment", None, "x"),
        Difference(EMAIL, "changed", "type", "text", "integer"),
    )


def test_a_missing_object_is_told_with_what_says_most_about_it() -> None:
    expected = Catalog({EMAIL: {"type": "text", "not null": True}})

    (difference,) = compare(expected, Catalog({}))

    assert (difference.change, difference.attribute, difference.expected, difference.actual) == (
        "missing",
        None,
        "text",
        None,
    )


def test_false_is_not_the_same_as_nothing() -> None:
    differences = compare(Catalog({EMAIL: {"not null": False}}), Catalog({EMAIL: {"not null": None}}))

    assert [str(item) for item in differences] == ["column email on users: not null is none, wanted no"]


def test_an_extra_table_hides_what_stands_on_it_and_a_view_does_not_hide_its_namesake() -> None:
    entries: dict[Identity, Any] = {USERS: {}, EMAIL: {"type": "text"}, VIEW: {"definition": "SELECT 1"}}

    differences = compare(Catalog({}), Catalog(entries, parents_of(entries)))

    assert [str(item) for item in differences] == ["extra table users", "extra view names"]


def test_a_difference_says_where_what_and_how() -> None:
    shop = Identity("constraint", "shop", "orders", "pk_orders")

    lines = [
        str(Difference(shop, "changed", "definition", "PRIMARY KEY (a)", "PRIMARY KEY (b)")),
        str(Difference(Identity("policy", None, "users", "p"), "changed", "roles", ("a", "b"), ())),
        str(Difference(Identity("schema", None, "", ""), "missing")),
        str(Difference(Identity("grant", None, "", "SCHEMA  TO app"), "extra")),
        str(Difference(Identity("grant", "shop", "orders", "TABLE orders TO app"), "extra")),
    ]

    assert lines == [
        "constraint pk_orders on shop.orders: definition is 'PRIMARY KEY (b)', wanted 'PRIMARY KEY (a)'",
        "policy p on users: roles is (), wanted (a, b)",
        "missing schema the default schema",
        "extra grant SCHEMA TO app",
        "extra grant TABLE orders TO app in schema shop",
    ]
