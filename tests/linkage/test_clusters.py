"""What is joined, and what never is."""

from __future__ import annotations

from datetime import date
from itertools import permutations

from identity.linkage.clusters import Clusters, Edge, cluster, is_slip


def clustered(edges: list[Edge], **given: object) -> Clusters:
    records = {record for edge in edges for record in (edge.left, edge.right)}
    arguments: dict[str, object] = {
        "owners": {},
        "places": {record: str(record) for record in records},
        "births": {},
        "apart": (),
        **given,
    }
    return cluster(records, edges, **arguments)  # type: ignore[arg-type]


def test_records_join_along_edges() -> None:
    assert clustered([Edge(1, 2, 0.9), Edge(2, 3, 0.9), Edge(4, 5, 0.9)]).group_of == {1: 1, 2: 1, 3: 1, 4: 4, 5: 4}


def test_two_persons_who_have_a_name_are_listed_and_never_joined() -> None:
    found = clustered([Edge(1, 2, 0.9), Edge(2, 3, 0.8)], owners={1: "a", 3: "b"})
    assert found.group_of == {1: 1, 2: 1, 3: 3}
    assert [(edge.probability, *persons) for edge, *persons in found.bridges] == [(0.8, "a", "b")]


def test_pairs_that_must_stay_apart_are_not_joined_through_others() -> None:
    found = clustered([Edge(1, 2, 0.99), Edge(2, 3, 0.9)], apart=[(1, 3)])
    assert found.group_of == {1: 1, 2: 1, 3: 3}
    assert found.n_apart == 1


def test_two_registrations_of_one_facility_need_a_strong_edge() -> None:
    places = {1: "10001", 2: "10001"}
    assert clustered([Edge(1, 2, 0.99)], places=places).group_of == {1: 1, 2: 2}
    assert clustered([Edge(1, 2, 0.99, is_strong=True)], places=places).group_of == {1: 1, 2: 1}


def test_who_has_no_birth_date_is_no_bridge_between_two_dates() -> None:
    births = {1: date(1980, 5, 17), 3: date(1990, 2, 3)}
    assert clustered([Edge(1, 2, 0.99), Edge(2, 3, 0.9)], births=births).group_of == {1: 1, 2: 1, 3: 3}


def test_the_order_of_edges_changes_nothing() -> None:
    edges = [Edge(1, 2, 0.9), Edge(2, 3, 0.9), Edge(3, 4, 0.95), Edge(1, 4, 0.7)]
    results = {tuple(sorted(clustered(list(order), apart=[(1, 3)]).group_of.items())) for order in permutations(edges)}
    assert len(results) == 1


def test_slips_of_birth_dates() -> None:
    born = date(1980, 5, 7)
    slips = (date(1980, 5, 8), date(1981, 5, 7), date(1980, 7, 5), date(1980, 5, 17), date(1970, 5, 7))
    assert all(is_slip(born, other) for other in slips)
    assert not is_slip(born, date(1983, 6, 7))


def test_no_group_comes_to_have_more_than_three_birth_dates() -> None:
    births = {at: date(1980 + at, 5, 17) for at in range(1, 6)}
    groups = clustered([Edge(at, at + 1, 1 - at / 100) for at in range(1, 5)], births=births).group_of
    sizes = [list(groups.values()).count(group) for group in set(groups.values())]
    assert max(sizes) == 3
