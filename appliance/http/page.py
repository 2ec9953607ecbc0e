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
:root {{ color-scheme: light dark; --page: #f4f6f9; --card: #fff; --line: #d9dfe7; --text: #1c232d;
  --muted: #495567; --accent: #1a5fb4; --label: #fff; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --page: #14171c; --card: #1e232b; --line: #343c48; --text: #eceff3; --muted: #b4bdc9;
    --accent: #8ab8f0; --label: #10151c; }}
}}
body {{ margin: 0; box-sizing: border-box; min-height: 100vh; min-height: 100dvh; padding: 1rem;
  display: grid; place-items: center; font: 1.0625rem/1.55 system-ui, sans-serif;
  color: var(--text); background: var(--page); overflow-wrap: anywhere; }}
main {{ box-sizing: border-box; width: 100%; max-width: 30rem;
  padding: 2.5rem clamp(1.25rem, 6vw, 2rem);
  text-align: center; background: var(--card); border: 1px solid var(--line);
  border-radius: .75rem; }}
h1 {{ margin: 0 0 .75rem; font-size: clamp(1.2rem, 5.6vw, 1.4rem); line-height: 1.3;
  text-wrap: balance; }}
p {{ margin: 0; color: var(--muted); text-wrap: pretty; }}
a {{ display: inline-block; margin-top: 1.75rem; padding: .65rem 1.4rem; border-radius: .5rem;
  font-weight: 600; text-decoration: none; color: var(--label); background: var(--accent); }}
a:hover {{ filter: brightness(1.1); }}
a:focus-visible {{ outline: 3px solid var(--accent); outline-offset: 3px; }}
.wait {{ display: flex; justify-content: center; gap: .5rem; margin-bottom: 1.5rem; }}
.wait i {{ width: .7rem; height: .7rem; border-radius: 50%; background: var(--accent);
  animation: wait 1.25s ease-in-out infinite; }}
.wait i:nth-child(1) {{ opacity: .3; }}
.wait i:nth-child(2) {{ opacity: .6; animation-delay: -1.05s; }}
.wait i:nth-child(3) {{ animation-delay: -.85s; }}
@keyframes wait {{ 0%, 70%, 100% {{ opacity: .3; }} 35% {{ opacity: 1; }} }}
@media (prefers-reduced-motion: reduce) {{ .wait i {{ animation: none; }} }}
</style>
</head>
<body>
<main>
{waiting}<h1>{title}</h1>
<p>{info}</p>
{action}</main>
</body>
</html>
"""
_WAITING = '<div class="wait" aria-hidden="true"><i></i><i></i><i></i></div>\n'
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
        action="" if action is None else f'<a href="">{escape(action)}</a>\n',
        waiting="" if refresh_s is None else _WAITING,
        refresh=(
            "" if refresh_s is None else f'<meta http-equiv="refresh" content="{refresh_s}">\n'
        ),
    )
    body = page.encode("utf-8", "replace")
    return Response(status, b"text/html; charset=utf-8", body, (*_HEADERS, *headers))
