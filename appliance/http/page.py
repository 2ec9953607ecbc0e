"""Pages for people in place of what they asked for: plain, light and dark, without scripts."""

from __future__ import annotations

from html import escape

from appliance.http.messages import Headers, Response

_PAGE = """<!DOCTYPE html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
{refresh}<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1.1rem/1.5 system-ui, sans-serif; margin: 20vh auto 0; max-width: 32rem;
  padding: 0 1rem; text-align: center; color: #222; background: #fff; overflow-wrap: break-word; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; }}
a {{ display: inline-block; padding: .6rem 1.2rem; border-radius: .4rem; text-decoration: none;
  color: #fff; background: #1a5fb4; }}
a:focus-visible {{ outline: 3px solid #78aeed; outline-offset: 2px; }}
@media (prefers-color-scheme: dark) {{ body {{ color: #ddd; background: #1b1b1b; }} }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{info}</p>
{action}</main>
</body>
</html>
"""
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    # The address of a join is signed and must not reach other sites.
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
)


def render_page(
    status: int,
    lang: str,
    title: str,
    info: str,
    *,
    action: str | None = None,
    refresh_s: int | None = None,
    headers: Headers = (),
) -> Response:
    """Return a page; all texts are escaped.

    `action` is the label of a link that loads the page again, `refresh_s` does that by itself.
    """
    page = _PAGE.format(
        lang=escape(lang.replace("_", "-")),
        title=escape(title),
        info=escape(info),
        action="" if action is None else f'<p><a href="">{escape(action)}</a></p>\n',
        refresh=(
            "" if refresh_s is None else f'<meta http-equiv="refresh" content="{refresh_s}">\n'
        ),
    )
    body = page.encode("utf-8", "replace")
    return Response(status, b"text/html; charset=utf-8", body, (*_HEADERS, *headers))
