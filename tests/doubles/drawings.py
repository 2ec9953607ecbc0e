"""What was drawn on the first slide of a recording, as BigBlueButton 2.5, 2.7 and 3.0 write it.

A line that grows, a rectangle that is undone, an arrow, an ellipse, a text of two lines and the
result of a poll, at the same places and times for each. Source: record-and-playback/presentation/
scripts/publish/presentation.rb of BigBlueButton; tldraw 1 and 2, their shapes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

Whiteboard = Literal["svg", "tldraw1", "tldraw2"]
TIMES = {"line": (1.0, -1), "longer line": (1.4, -1), "rectangle": (1.4, 2.4), "rest": (1.8, -1)}
"""When something was drawn, and when it was undone."""
LINE = [(110, 620), (300, 660)]
LONGER = [*LINE, (500, 620), (700, 650)]
TEXT = "Look here:\nthis one"
POLL = "poll_result6.svg"
SCALE = 0.9
"""Units of tldraw in a unit of a slide of 1600x900."""


def canvas_svg(presentation: str) -> str:
    """Return the drawings of the first slide in shapes.svg of BigBlueButton 2.5."""
    stroke = "visibility:hidden;fill:none"
    round_pen = "stroke-linecap:round;stroke-linejoin:round"
    path = "".join(f"{'L' if n else 'M'}{x} {y}" for n, (x, y) in enumerate(LONGER))
    corners = ("1270 270", "1520 520", "1270 770", "1020 520")
    ellipse = f"M1020 520{''.join(f'A250 250 0 0 1 {corner}' for corner in corners)}Z"
    written = (
        '<switch><foreignObject width="500" height="160" x="900" y="300"><p'
        f' xmlns="http://www.w3.org/1999/xhtml" style="margin:0;padding:0">'
        f"{TEXT.replace(chr(10), '<br/>')}</p></foreignObject></switch>"
    )
    href = f"presentation/{presentation}/{POLL}"
    drawn = [
        ("line", "pencil1", f"stroke:#ff0000;{round_pen};stroke-width:8;{stroke}",
         f'<path d="{path[: path.index("L", 12)]}"/>'),
        ("longer line", "pencil1", f"stroke:#ff0000;{round_pen};stroke-width:8;{stroke}",
         f'<path d="{path}"/>'),
        ("rectangle", "rect2", f"stroke:#0000ff;stroke-width:6;{stroke};stroke-linejoin:miter",
         '<path d="M90 330L620 330L620 410L90 410Z"/>'),
        ("rest", "line3", f"stroke:#008000;stroke-width:6;{stroke};stroke-linecap:butt",
         '<line x1="800" y1="800" x2="1000" y2="640"/>'),
        ("rest", "ellipse4", f"stroke:#8800cc;stroke-width:6;{stroke}", f'<path d="{ellipse}"/>'),
        ("rest", "text5", "color:#008000;word-wrap:break-word;visibility:hidden;font-family:Arial;"
         "font-size:44px", written),
        ("rest", "poll6", "visibility:hidden",
         f'<image xlink:href="{href}" width="300" height="200" x="110" y="680"/>'),
    ]  # fmt: skip
    groups = "".join(
        f'<g id="image1-draw{number}" class="shape" timestamp="{TIMES[when][0]}"'
        f' undo="{TIMES[when][1]}" shape="image1-{name}" style="{style}">{content}</g>'
        for number, (when, name, style, content) in enumerate(drawn, 1)
    )
    return f'<g class="canvas" id="canvas1" image="image1" display="none">{groups}</g>'


def poll_svg() -> bytes:
    """Return the picture of the result of a poll."""
    return (
        b'<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200"><rect width="300"'
        b' height="200" fill="#fff" stroke="#333"/><text x="20" y="60" font-size="32">A: 3</text>'
        b'<text x="20" y="120" font-size="32">B: 1</text></svg>'
    )


def tldraw_json(whiteboard: Whiteboard) -> bytes:
    """Return tldraw.json: the shapes of BigBlueButton 2.7 or 3.0."""
    drawn = _shapes_1() if whiteboard == "tldraw1" else _shapes_2()
    shapes = [
        {"id": n, "timestamp": TIMES[when][0], "undo": TIMES[when][1], "shape_data": data}
        for n, (when, data) in enumerate(drawn, 1)
    ]
    version = "2.7.4" if whiteboard == "tldraw1" else "3.0.10"
    return json.dumps({"bbb_version": version, "1": {"shapes": shapes, "timestamp": 0.0}}).encode()


def _scaled(values: Iterable[float]) -> list[float]:
    return [round(SCALE * one, 2) for one in values]


def _shapes_1() -> list[tuple[str, dict[str, Any]]]:
    def shape(
        name: str, type: str, at: tuple[float, float], color: str, **more: Any
    ) -> dict[str, Any]:
        style = {"color": color, "size": "medium", "dash": "draw", "isFilled": False, "scale": 1}
        return {"id": name, "type": type, "point": _scaled(at), "rotation": 0, "childIndex": 1,
                "parentId": "1", "userId": "w_x", "style": style, **more}  # fmt: skip

    def pen(points: list[tuple[int, int]]) -> dict[str, Any]:
        near = [[*_scaled((x - 110, y - 620)), 0.5] for x, y in points]
        return shape("s1", "draw", (110, 620), "red", points=near, isComplete=True)

    handles = {
        name: {"id": name, "index": n, "point": _scaled(at)}
        for n, (name, at) in enumerate(
            {"start": (0, 160), "end": (200, 0), "bend": (100, 80)}.items()
        )
    }
    arrow = shape("s3", "arrow", (800, 640), "green", bend=0, handles=handles,
                  decorations={"end": "arrow"}, label="")  # fmt: skip
    poll = shape("s6", "rectangle", (110, 680), "black", size=_scaled((300, 200)), label="A: 3")
    return [
        ("line", pen(LINE)),
        ("longer line", pen(LONGER)),
        ("rectangle", shape("s2", "rectangle", (90, 330), "blue", size=_scaled((530, 80)))),
        ("rest", arrow),
        ("rest", shape("s4", "ellipse", (1020, 270), "violet", radius=_scaled((250, 250)))),
        ("rest", shape("s5", "text", (900, 300), "green", text=TEXT)),
        ("rest", poll),
    ]


def _shapes_2() -> list[tuple[str, dict[str, Any]]]:
    def shape(name: str, type: str, at: tuple[float, float], **props: Any) -> dict[str, Any]:
        x, y = _scaled(at)
        style = {"size": "m", "dash": "draw", "fill": "none"}
        return {"id": f"shape:{name}", "typeName": "shape", "type": type, "x": x, "y": y,
                "rotation": 0, "opacity": 1, "index": "a1", "parentId": "page:1",
                "isLocked": False, "meta": {}, "props": style | props}  # fmt: skip

    def pen(points: list[tuple[int, int]]) -> dict[str, Any]:
        near = [dict(zip("xy", _scaled((x - 110, y - 620)), strict=True), z=0.5) for x, y in points]
        segments = [{"type": "free", "points": near}]
        return shape("s1", "draw", (110, 620), color="red", segments=segments, isComplete=True)

    w, h = _scaled((530, 80))
    x, y = _scaled((200, -160))
    round_w, _ = _scaled((500, 0))
    poll_w, poll_h = _scaled((300, 200))
    answers = [{"id": 0, "key": "A", "numVotes": 3}, {"id": 1, "key": "B", "numVotes": 1}]
    return [
        ("line", pen(LINE)),
        ("longer line", pen(LONGER)),
        ("rectangle", shape("s2", "geo", (90, 330), color="blue", geo="rectangle", w=w, h=h)),
        ("rest", shape("s3", "arrow", (800, 800), color="green", bend=20, arrowheadEnd="arrow",
                       arrowheadStart="none", start={"type": "point", "x": 0, "y": 0},
                       end={"type": "point", "x": x, "y": y})),
        ("rest", shape("s4", "geo", (1020, 270), color="violet", geo="ellipse",
                       w=round_w, h=round_w, fill="solid")),
        ("rest", shape("s5", "text", (900, 300), color="green", text=TEXT, size="xl")),
        ("rest", shape("s6", "poll", (110, 680), w=poll_w, h=poll_h, question="",
                       questionText="Which one?", answers=json.dumps(answers))),
    ]  # fmt: skip
