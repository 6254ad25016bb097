"""The identity provider that signs people in: its settings come from a file that nobody else may read, or variables."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ruam.errors import SetupError

CALLBACK = "/oauth2callback"


class Provider(BaseSettings):
    """An OpenID Connect provider, and what it knows Ruam as."""

    model_config = SettingsConfigDict(env_prefix="RUAM_OIDC_", frozen=True, extra="forbid")

    client_id: str = Field(min_length=1)
    client_secret: SecretStr = Field(min_length=1)
    metadata_url: str
    """Of the provider's configuration, `…/.well-known/openid-configuration`."""
    public_url: str
    """Where people open the pages; the provider must know `<public_url>/oauth2callback` as a redirect address."""
    scope: str = "openid profile"
    """What is asked for; whatever puts the claims of the table of access into the ID token must be among it."""

    @field_validator("metadata_url", "public_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        """Plain HTTP only on this machine: a code or a token on the way could be read."""
        parts = urlsplit(url)
        if parts.scheme not in {"https", "http"} or not parts.hostname or parts.username or parts.query:
            raise ValueError("must be an address such as https://ruam.example")
        if parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
            raise ValueError("must begin with https:// on any host but this one")
        return url.rstrip("/")

    @property
    def redirect_uri(self) -> str:
        return self.public_url + CALLBACK

    @property
    def issuer_origin(self) -> str:
        parts = urlsplit(self.metadata_url)
        return f"{parts.scheme}://{parts.netloc}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def load_provider(path: Path | None) -> Provider:
    """The provider of a TOML file of mode 0400 or 0600; variables go before what the file says.

    Raises `SetupError` when the file may be read by others, or something is missing or wrong; never with a value.
    """
    found: dict[str, object] = {}
    if path is not None:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode not in {0o400, 0o600}:
                raise SetupError(
                    f"{path} holds a secret and has mode {mode:04o}: others may read it. Run `chmod 0600 {path}`."
                )
            found = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise SetupError(f"{path}: the settings of the identity provider cannot be read: {error}") from error
    try:
        return Provider.model_validate(found)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise SetupError(
            f"The identity provider is not set up ({wrong}). Name its file with RUAM_OIDC_FILE "
            "(docs/how-to/sign-in.md), or look at the pages on this machine with `ruam serve --demo`."
        ) from error
