"""From scored pairs to persons, with what must never be joined."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

Pair = tuple[int, int]
MOST_BIRTH_DATES = 3
"""That a person may come to have by joining."""


@dataclass(frozen=True)
class Edge:
    """A scored pair of records. `is_strong`: enough for two registrations of one facility to be one person."""

    left: int
    right: int
    probability: float
    is_strong: bool = False


@dataclass
class _Group:
    members: list[int]
    owner: str | None
    """The person it belongs to already, which it keeps."""
    by_place: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    births: set[date] = field(default_factory=set)


@dataclass(frozen=True)
class Clusters:
    group_of: dict[int, int]
    """Record to the smallest record of its group."""
    owner_of: dict[int, str]
    """That smallest record to the person that the group belonged to before, where it did."""
    bridges: list[tuple[Edge, str, str]]
    """Pairs that speak for two persons being one, who stay two: each has its name already."""
    n_apart: int
    """Pairs not joined because they, or others of their groups, must stay apart."""


def cluster(
    records: Iterable[int],
    edges: Iterable[Edge],
    *,
    owners: Mapping[int, str],
    places: Mapping[int, str],
    births: Mapping[int, date],
    apart: Iterable[Pair],
) -> Clusters:
    """Join records along the edges, the likeliest first, as long as nothing forbids it.

    `owners`: the person of records that have one; records of one owner are one group from the start, and two owners are
    never joined. `places`: facility of each record; two records of a facility come into one group only along a strong
    edge between them. `births`: birth dates that say something; a record without one (null, 1 January) is no bridge
    between groups whose dates no slip explains, and no group comes to have more than three. `apart`: pairs that must
    not come into one group. Equal input gives equal groups, in whatever order it comes.
    """
    groups: dict[int, _Group] = {}
    at: dict[int, int] = {}
    of_owner: dict[str, int] = {}
    for record in sorted(records):
        owner = owners.get(record)
        key = of_owner.setdefault(owner, record) if owner is not None else record
        group = groups.setdefault(key, _Group([], owner))
        group.members.append(record)
        group.by_place[places[record]].append(record)
        if record in births:
            group.births.add(births[record])
        at[record] = key
    edges = sorted(edges, key=lambda edge: (-edge.probability, edge.left, edge.right))
    forbidden = defaultdict(set)
    for left, right in apart:
        forbidden[left].add(right)
        forbidden[right].add(left)
    strong = {pair for edge in edges if edge.is_strong for pair in ((edge.left, edge.right), (edge.right, edge.left))}
    bridges, n_apart = [], 0
    for edge in edges:
        a, b = at[edge.left], at[edge.right]
        if a == b:
            continue
        one, other = groups[a], groups[b]
        vague = edge.left not in births or edge.right not in births
        born_wrong = (vague and not _may_be_born(one.births, other.births)) or (
            len(one.births | other.births) > max(MOST_BIRTH_DATES, len(one.births), len(other.births))
        )
        if born_wrong or _must_stay_apart(one, other, forbidden, strong):
            n_apart += 1
            continue
        if one.owner is not None and other.owner is not None:
            bridges.append((edge, one.owner, other.owner))
            continue
        if (len(other.members), -b) > (len(one.members), -a):
            a, b, one, other = b, a, other, one
        one.members += other.members
        one.births |= other.births
        for place, there in other.by_place.items():
            one.by_place[place] += there
        one.owner = one.owner if one.owner is not None else other.owner
        for record in other.members:
            at[record] = a
        del groups[b]
    smallest = {key: min(group.members) for key, group in groups.items()}
    return Clusters(
        {record: smallest[key] for record, key in at.items()},
        {smallest[key]: group.owner for key, group in groups.items() if group.owner is not None},
        bridges,
        n_apart,
    )


def is_slip(one: date, other: date) -> bool:
    """Whether two birth dates may be one: equal, a day apart, a year apart on one day, day and month changed about, or
    one digit of eight wrong."""
    if abs((one - other).days) <= 1:
        return True
    if (one.month, one.day) == (other.month, other.day) and abs(one.year - other.year) == 1:
        return True
    if one.year == other.year and (one.month, one.day) == (other.day, other.month):
        return True
    return sum(a != b for a, b in zip(f"{one:%Y%m%d}", f"{other:%Y%m%d}", strict=True)) <= 1


def _may_be_born(some: set[date], others: set[date]) -> bool:
    return not some or not others or any(is_slip(one, other) for one in some for other in others)


def _must_stay_apart(one: _Group, other: _Group, forbidden: Mapping[int, set[int]], strong: set[Pair]) -> bool:
    small, large = sorted((one, other), key=lambda group: len(group.members))
    if any(not forbidden[record].isdisjoint(large.members) for record in small.members if record in forbidden):
        return True
    return any(
        (record, there) not in strong
        for place in small.by_place.keys() & large.by_place.keys()
        for record in small.by_place[place]
        for there in large.by_place[place]
    )
