"""The pages that come before the pages: signing in, and being refused. Plain HTML without a script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from string import Template

from dashboards.access.demo import USERS, DemoUser
from ruam.words import LANGUAGES, Language, Words

_PAGE = Template("""<!DOCTYPE html>
<html lang="$language">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title · Ruam รวม</title>
<link rel="stylesheet" href="/auth/entrance.css">
</head>
<body>
<header><span class="brand">$brand</span><nav aria-label="$switch_label">$switch</nav></header>
<main>
<h1>$title</h1>
$body
</main>
</body>
</html>
""")

STYLE = """
@font-face { font-family: "Noto Sans Thai"; font-weight: 400; unicode-range: U+02D7, U+0303, U+0331, U+0E01-0E5B,
  U+200C-200D, U+25CC; src: url(/app/static/fonts/noto-sans-thai-thai-400-normal.woff2); }
@font-face { font-family: "Noto Sans Thai"; font-weight: 600; unicode-range: U+02D7, U+0303, U+0331, U+0E01-0E5B,
  U+200C-200D, U+25CC; src: url(/app/static/fonts/noto-sans-thai-thai-600-normal.woff2); }
@font-face { font-family: "Noto Sans Thai"; font-weight: 400; unicode-range: U+0000-00FF, U+2000-206F;
  src: url(/app/static/fonts/noto-sans-thai-latin-400-normal.woff2); }
@font-face { font-family: "Noto Sans Thai"; font-weight: 600; unicode-range: U+0000-00FF, U+2000-206F;
  src: url(/app/static/fonts/noto-sans-thai-latin-600-normal.woff2); }
* { box-sizing: border-box; }
body { margin: 0; font: 400 1rem/1.7 "Noto Sans Thai", sans-serif; color: #1F2933; background: #F3F5F8; }
header { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; justify-content: space-between; padding: 1rem 1.5rem;
  background: #FFFFFF; border-bottom: 1px solid #C5CED8; }
.brand { font-weight: 600; }
nav a, nav strong { margin-left: 1rem; }
a { color: #12436D; }
main { max-width: 38rem; margin: 3rem auto; padding: 2rem; background: #FFFFFF; border: 1px solid #C5CED8;
  border-radius: .5rem; }
h1 { margin: 0 0 1rem; font-size: 1.6rem; line-height: 1.5; }
.go, button { display: inline-block; margin: 1rem .6rem 0 0; padding: .6rem 1.4rem; font: inherit; font-weight: 600;
  color: #FFFFFF; background: #12436D; border: 1px solid #12436D; border-radius: .4rem; text-decoration: none;
  cursor: pointer; }
.go.other { color: #12436D; background: #FFFFFF; border-color: #C5CED8; }
.go:hover { background: #0D3254; }
.go.other:hover { background: #F3F5F8; }
:focus-visible { outline: 3px solid #F46A25; outline-offset: 2px; }
form button { display: block; width: 100%; margin-top: .6rem; text-align: left; color: #12436D; background: #FFFFFF;
  border: 1px solid #C5CED8; }
form button:hover { color: #12436D; background: #F3F5F8; }
form small { display: block; font-weight: 400; color: #52606D; }
.note { color: #52606D; }
code { font-size: 1rem; }
@media (max-width: 30rem) { main { margin: 0; border: 0; border-radius: 0; padding: 1.5rem; }
  header { padding: .75rem 1.5rem; } nav a:first-child, nav strong:first-child { margin-left: 0; } }
"""


def language_of(query: str) -> Language:
    """What the address asks for, else the first of the languages."""
    return next((language for language in LANGUAGES if f"lang={language}" in query.split("&")), LANGUAGES[0])


def sign_in_page(path: str, query: str) -> str:
    words = Words(language_of(query))
    body = (
        f"<p>{_text(words, 'entrance.sign_in_text')}</p>"
        f'<a class="go" href="/auth/login">{_text(words, "access.sign_in")}</a>'
        f'<p class="note">{_text(words, "entrance.recorded")}</p>'
    )
    return _page(words, words("entrance.sign_in_title"), body, path, query)


def demo_page(path: str, query: str, users: Sequence[DemoUser] = USERS) -> str:
    """Everyone who may be signed in without a provider; the form goes back to the address it was shown at."""
    words = Words(language_of(query))
    back = escape(path + (f"?{query}" if query else ""), quote=True)
    buttons = "".join(
        f'<button name="user" value="{escape(user.code, quote=True)}">{_text(words, f"role.{user.role}")}'
        f"<small>{_text(words, f'demo.{user.code}')}</small></button>"
        for user in users
    )
    body = (
        f"<p>{_text(words, 'entrance.demo_text')}</p>"
        f'<form method="post" action="/auth/demo"><input type="hidden" name="next" value="{back}">{buttons}</form>'
    )
    return _page(words, words("entrance.demo_title"), body, path, query)


def refused_page(path: str, query: str, reason: str, reference: str) -> str:
    words = Words(language_of(query))
    body = (
        f"<p>{_text(words, f'refused.{reason}')}</p>"
        f'<p class="note">{_text(words, "access.reference")} <code>{escape(reference)}</code></p>'
    )
    if reason in {"not_for_role", "not_for_area"}:
        body += f'<a class="go" href="/">{_text(words, "entrance.home")}</a>'
    body += f'<a class="go other" href="/auth/logout">{_text(words, "access.sign_out")}</a>'
    return _page(words, words("access.refused_title"), body, path, query)


def _page(words: Words, title: str, body: str, path: str, query: str) -> str:
    kept = [part for part in query.split("&") if part and not part.startswith("lang=")]
    switch = []
    for language in LANGUAGES:
        name = escape(Words(language)("language"))
        parts = "&".join([*kept, *([f"lang={language}"] if language != LANGUAGES[0] else [])])
        href = escape(path + (f"?{parts}" if parts else ""), quote=True)
        chosen = language == words.language
        switch.append(f"<strong>{name}</strong>" if chosen else f'<a lang="{language}" href="{href}">{name}</a>')
    return _PAGE.substitute(
        language=words.language,
        title=escape(title),
        brand=_text(words, "entrance.brand"),
        switch_label=_text(words, "entrance.switch"),
        switch="".join(switch),
        body=body,
    )


def _text(words: Words, key: str) -> str:
    return escape(words(key))
