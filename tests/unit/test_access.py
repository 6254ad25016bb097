"""Who may see what: the words of a token, the table that maps them, and the provider's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ruam.access import DEFAULT_TABLE, NATION, AccessTable, Level, Refused, Role, Scope, load_table, scope_of
from ruam.errors import SetupError, UsageError
from ruam.geography import province_names
from ruam.provider import load_provider
from ruam.serve import checked
from ruam.settings import REGIONS, Settings, settings_in_force

TABLE = load_table(None)
CODES = ["TH", *(f"R{code}" for code in REGIONS), *(f"P{code}" for code in province_names()), "H10713"]
WORDS = st.sampled_from([*Role, *CODES, "root", "R14", "*", ""]).map(str)
CLAIMS = WORDS | st.lists(WORDS | st.integers(), max_size=3) | st.none() | st.dictionaries(WORDS, WORDS, max_size=2)
OIDC = """
client_id = "ruam"
client_secret = "a secret of the test"
metadata_url = "https://login.example/.well-known/openid-configuration"
public_url = "https://ruam.example"
"""


@pytest.mark.parametrize("role", Role)
def test_each_role_comes_from_its_word(role: Role) -> None:
    assert TABLE.identity_of("x", {"roles": [str(role)], "areas": ["TH"]}).roles == (role,)


@pytest.mark.parametrize(
    ("codes", "scope"),
    [
        (["TH"], NATION),
        (["R04"], Scope(level=Level.REGION, codes=("04",))),
        (["R05", "R04"], Scope(level=Level.REGION, codes=("04", "05"))),
        (["P50"], Scope(level=Level.PROVINCE, codes=("50",))),
        (["H10713"], Scope(level=Level.FACILITY, codes=("10713",))),
    ],
)
def test_each_area_comes_from_its_code(codes: list[str], scope: Scope) -> None:
    assert TABLE.scope_of({"areas": codes}) == scope


def test_a_claim_may_be_a_single_word() -> None:
    identity = TABLE.identity_of("x", {"roles": "steward", "areas": "R13", "name": "Somchai"})
    assert (identity.name, identity.roles, identity.scope.codes) == ("Somchai", (Role.STEWARD,), ("13",))


def test_words_of_the_provider_that_mean_nothing_here_are_passed_over() -> None:
    assert TABLE.roles_of({"roles": ["offline_access", "analyst"]}) == (Role.ANALYST,)


@pytest.mark.parametrize("claims", [{}, {"roles": None}, {"roles": []}, {"roles": ["root"]}, {"roles": {"analyst": 1}}])
def test_no_role_or_an_unknown_one_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="no_role"):
        TABLE.identity_of("x", claims | {"areas": ["TH"]})


@pytest.mark.parametrize(
    "areas", [None, [], "", ["R14"], ["P00"], ["R04", "mars"], ["R04", "P50"], ["TH", "R04"], ["H123"], [4], "*"]
)
def test_no_area_or_an_unknown_one_is_refused(areas: object) -> None:
    with pytest.raises(Refused, match="no_area"):
        TABLE.identity_of("x", {"roles": ["analyst"], "areas": areas})


@given(roles=CLAIMS, areas=CLAIMS)
def test_whatever_a_token_says_nobody_gets_more_than_its_words(roles: Any, areas: Any) -> None:
    try:
        identity = TABLE.identity_of("x", {"roles": roles, "areas": areas})
    except Refused:
        return
    assert {str(role) for role in identity.roles} <= set([roles] if isinstance(roles, str) else roles)
    assert scope_of([areas] if isinstance(areas, str) else areas) == identity.scope


@given(st.lists(st.sampled_from(CODES), min_size=1, max_size=4))
def test_codes_of_one_level_make_a_scope_and_of_two_none(codes: list[str]) -> None:
    levels = {code[0] for code in codes}
    if len(levels) > 1:
        with pytest.raises(ValueError, match="one level"):
            scope_of(codes)
    else:
        assert len(scope_of(codes).codes) == len(set(codes))


def table_of(tmp_path: Path, **changes: Any) -> AccessTable:
    path = tmp_path / "access.yml"
    path.write_text(yaml.safe_dump(yaml.safe_load(DEFAULT_TABLE.read_text(encoding="utf-8")) | changes))
    return load_table(path)


def test_a_table_maps_the_words_of_its_own_provider(tmp_path: Path) -> None:
    table = table_of(
        tmp_path,
        role={"claim": "groups", "words": {"CN=ruam-dpo": "data_protection_officer"}},
        area={"claim": "office", "words": {"สำนักงานเขตสุขภาพที่ 4": "R04"}},
    )
    identity = table.identity_of("x", {"groups": ["CN=ruam-dpo"], "office": "สำนักงานเขตสุขภาพที่ 4"})
    assert (identity.roles, identity.scope) == ((Role.PROTECTION_OFFICER,), scope_of(["R04"]))


@pytest.mark.parametrize(
    "changes",
    [
        {"role": {"claim": "roles", "words": {"boss": "emperor"}}},
        {"role": {"claim": "roles", "words": {}}},
        {"area": {"claim": "areas", "words": {"north": "R99"}}},
        {"default": "analyst"},
    ],
)
def test_a_table_with_an_unknown_word_is_not_used(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(SetupError, match=r"access\.yml"):
        table_of(tmp_path, **changes)


def oidc_file(tmp_path: Path, text: str = OIDC, mode: int = 0o600) -> Path:
    path = tmp_path / "oidc.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o400, 0o600])
def test_the_providers_settings_come_from_a_file_of_their_own(tmp_path: Path, mode: int) -> None:
    provider = load_provider(oidc_file(tmp_path, mode=mode))
    assert provider.redirect_uri == "https://ruam.example/oauth2callback"
    assert "a secret of the test" not in repr(provider)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o700])
def test_a_file_that_others_may_read_is_not_used(tmp_path: Path, mode: int) -> None:
    with pytest.raises(SetupError, match="chmod 0600"):
        load_provider(oidc_file(tmp_path, mode=mode))


def test_a_variable_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUAM_OIDC_CLIENT_SECRET", "another")
    assert load_provider(oidc_file(tmp_path)).client_secret.get_secret_value() == "another"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("https://ruam.example", "http://ruam.example"),
        ("https://login.example/.well", "ftp://login.example/.well"),
        ('client_id = "ruam"', ""),
        ('client_secret = "a secret of the test"', 'client_secret = ""'),
        ('client_id = "ruam"', 'client_id = "ruam"\ncolour = "blue"'),
    ],
)
def test_settings_that_are_not_whole_are_told_without_the_secret(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(SetupError) as refused:
        load_provider(oidc_file(tmp_path, OIDC.replace(old, new)))
    assert "a secret of the test" not in str(refused.value)


def test_a_demo_is_served_on_this_machine_alone(tmp_path: Path) -> None:
    assert checked(Settings(home=tmp_path), demo=True) is None
    with pytest.raises(UsageError, match="loopback"):
        checked(Settings(home=tmp_path, host="0.0.0.0"), demo=True)  # noqa: S104
    with pytest.raises(UsageError, match="loopback"):
        checked(Settings(home=tmp_path, host="10.0.0.1", trusted_proxies=("10.0.0.2",)), demo=True)


def test_without_a_provider_nothing_is_served() -> None:
    with pytest.raises(SetupError, match="RUAM_OIDC_FILE"):
        checked(Settings(), demo=False)


def test_another_address_needs_tls_or_a_proxy_that_has_it(tmp_path: Path) -> None:
    path = oidc_file(tmp_path)
    elsewhere = {"home": tmp_path, "host": "0.0.0.0", "oidc_file": path}  # noqa: S104
    with pytest.raises(UsageError, match="RUAM_TLS_CERTIFICATE"):
        checked(Settings.model_validate(elsewhere), demo=False)
    with pytest.raises(SetupError, match="both"):
        checked(Settings.model_validate(elsewhere | {"tls_certificate": path}), demo=False)
    with pytest.raises(SetupError, match="no address"):
        checked(Settings.model_validate(elsewhere | {"trusted_proxies": ["everyone"]}), demo=False)
    for behind in ({"trusted_proxies": ["10.0.0.2"]}, {"tls_certificate": path, "tls_key": path}):
        assert checked(Settings.model_validate(elsewhere | behind), demo=False) is not None
    loopback = OIDC.replace("https://ruam.example", "http://localhost:8501")
    with pytest.raises(SetupError, match="https"):
        checked(
            Settings.model_validate(
                elsewhere | {"trusted_proxies": ["10.0.0.2"], "oidc_file": oidc_file(tmp_path, loopback)}
            ),
            demo=False,
        )


def test_a_table_that_was_changed_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "access.yml"
    path.write_text(DEFAULT_TABLE.read_text(encoding="utf-8"), encoding="utf-8")
    assert load_table(path) is load_table(path), "once for all who ask"
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    told["role"]["claim"] = "groups_of_ruam"
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
    assert load_table(path).role.claim == "groups_of_ruam"
    path.write_text("role: []", encoding="utf-8")
    with pytest.raises(SetupError):
        load_table(path)


def test_settings_in_force_are_those_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUAM_HOME", str(tmp_path / "one"))
    assert settings_in_force() is settings_in_force()
    assert settings_in_force().home == Settings().home
    monkeypatch.setenv("RUAM_HOME", str(tmp_path / "other"))
    assert settings_in_force().home == tmp_path / "other"
