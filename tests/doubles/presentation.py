"""A recording of the format presentation, with the files that BigBlueButton 2.4 to 3.0 writes.

Webcams and a shared screen of twelve seconds, made by ffmpeg; three slides, drawings on the first,
the second zoomed; a pointer; chat with links and markup; captions. Source: record-and-playback/
presentation/scripts/publish/presentation.rb of BigBlueButton; bbb-playback (src/utils/builder.js).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from functools import cache
from html import escape
from tempfile import TemporaryDirectory

from tests.doubles.drawings import POLL, Whiteboard, canvas_svg, poll_svg, tldraw_json
from tests.doubles.recording_tars import metadata_xml

LENGTH_S = 12
PRESENTATION = "d2d9a672040fbde2a47a10bf6c37b6a4b5ae187f-1764000000000"
SLIDES = (0.0, 3.0, 9.0)
SHARE = (6.0, 9.0)
COLOURS = ("#1a5fb4", "#2b7a4b", "#a3472a")
TITLES = ("Why cells divide", "Mitosis, step by step", "Questions")
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
CHAT = (
    (1.0, "Ada Lovelace", "Good morning! The slides are at https://example.org/slides?a=1&b=2"),
    (4.2, "Emmy <b>Noether</b>", HOSTILE),
    (7.5, "Grace Hopper", "Can you see my screen?\nIt should be there now."),
    (10.0, "Ada Lovelace", "1 < 2 & 3 > 2, thank you all"),
)


@cache
def video(source: str, *, sound: bool) -> bytes:
    """Return a WebM made by ffmpeg from a source of its own (lavfi)."""
    with TemporaryDirectory() as folder:
        target = f"{folder}/video.webm"
        ends = ["-f", "lavfi", "-i", "sine=frequency=330"] if sound else []
        subprocess.run(
            [
                *("ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, *ends),
                *("-t", str(LENGTH_S), "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"),
                *("-b:v", "150k", "-g", "5", "-c:a", "libopus", "-b:a", "16k", target),
            ],
            check=True,
            stdin=subprocess.DEVNULL,
        )
        with open(target, "rb") as file:
            return file.read()


def webcams() -> bytes:
    """Return video/webcams.webm."""
    return video("testsrc2=size=320x180:rate=5", sound=True)


def screen() -> bytes:
    """Return deskshare/deskshare.webm."""
    return video("smptehdbars=size=640x360:rate=2", sound=False)


def slide(number: int) -> bytes:
    """Return a slide as an SVG, as BigBlueButton 3.0 has them."""
    title, colour = TITLES[number - 1], COLOURS[number - 1]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="1600" height="900"'
        f' viewBox="0 0 1600 900"><rect width="1600" height="900" fill="#fdfcf8"/>'
        f'<rect width="1600" height="24" fill="{colour}"/>'
        f'<text x="110" y="230" font-family="sans-serif" font-size="92" fill="{colour}">{title}'
        '</text><g font-family="sans-serif" font-size="48" fill="#333">'
        '<text x="110" y="390">• What we know</text><text x="110" y="480">• What we measured</text>'
        f'<text x="110" y="570">• What is open</text></g><circle cx="1270" cy="520" r="200"'
        f' fill="none" stroke="{colour}" stroke-width="26"/></svg>'
    ).encode()


def shapes_svg(whiteboard: Whiteboard) -> bytes:
    """Return shapes.svg: the times of the slides and, in the format "svg", the drawings."""
    ends = (*SLIDES[1:], float(LENGTH_S))
    images = "".join(
        f'<image id="image{n}" class="slide" in="{begin}" out="{end}"'
        f' xlink:href="{slide_file(n, whiteboard)}" width="1600" height="900"'
        f' x="0" y="0" style="visibility:hidden"'
        f' text="presentation/{PRESENTATION}/textfiles/slide-{n}.txt"/>'
        for n, (begin, end) in enumerate(zip(SLIDES, ends, strict=True), 1)
    )
    return (
        '<?xml version="1.0"?>\n'
        '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN"'
        ' "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">\n'
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        ' id="svgfile" style="position:absolute;height:600px;width:800px" version="1.1"'
        f' viewBox="0 0 800 600">{images}'
        f"{canvas_svg(PRESENTATION) if whiteboard == 'svg' else ''}</svg>"
    ).encode()


def slide_file(number: int, whiteboard: Whiteboard) -> str:
    """Return the name of a slide: until BigBlueButton 2.5 a picture, then an SVG."""
    name = f"slide-{number}.png" if whiteboard == "svg" else f"svgs/slide{number}.svg"
    return f"presentation/{PRESENTATION}/{name}"


def events_xml(name: str, tag: str, events: Sequence[tuple[float, str]], whiteboard: str) -> bytes:
    """Return panzooms.xml or cursor.xml."""
    inside = "".join(
        f'<event timestamp="{at}"><{tag}>{text}</{tag}></event>' for at, text in events
    )
    tldraw = str(whiteboard != "svg").lower()
    return (
        f'<?xml version="1.0"?>\n<recording id="{name}" tldraw="{tldraw}">{inside}</recording>'
    ).encode()


def presentation_files(
    said: Sequence[tuple[float, str, str]] = CHAT,
    whiteboard: Whiteboard = "tldraw2",
) -> dict[str, bytes]:
    """Return the files of a recording by name."""
    chat = "".join(
        f'<chattimeline in="{at}" direction="down" name="{escape(who)}" target="chat"'
        f' senderId="w_x" chatEmphasizedText="false" senderRole="VIEWER"'
        f' message="{escape(as_html(text))}"/>'
        for at, who, text in said
    )
    # tldraw has the place of its camera, in units of its own; the same place on the slide in all.
    whole = "0.0 0.0 1600.0 900.0"
    zoomed = "400.0 200.0 800.0 450.0" if whiteboard == "svg" else "-360.0 -180.0 800.0 450.0"
    views = ((0.0, whole), (4.5, zoomed), (9.0, whole))
    points = ((0.0, "-1.0 -1.0"), (4.6, "0.5 0.5" if whiteboard == "svg" else "720.0 382.5"))
    texts = {f"slide-{n}": f"{title}\nWhat we know" for n, title in enumerate(TITLES, 1)}
    folder = f"presentation/{PRESENTATION}"
    files = {
        "metadata.xml": metadata_xml("rec-1", name="Biology 101").encode(),
        "shapes.svg": shapes_svg(whiteboard),
        "panzooms.xml": events_xml("panzoom_events", "viewBox", views, whiteboard),
        "cursor.xml": events_xml("cursor_events", "cursor", points, whiteboard),
        "deskshare.xml": f'<?xml version="1.0"?>\n<recording id="deskshare_events"><event'
        f' start_timestamp="{SHARE[0]}" stop_timestamp="{SHARE[1]}" video_width="640"'
        ' video_height="360"/></recording>'.encode(),
        "slides_new.xml": f'<?xml version="1.0"?>\n<popcorn>{chat}</popcorn>'.encode(),
        "presentation_text.json": json.dumps({PRESENTATION: texts}).encode(),
        "captions.json": b'[{"localeName": "English (United States)", "locale": "en-US"},'
        b' {"localeName": "Deutsch", "locale": "de"}]',
        "caption_en-US.vtt": b"WEBVTT\n\n00:00.000 --> 00:05.000\nGood morning, everybody.\n",
        "caption_de.vtt": b"WEBVTT\n\n00:00.000 --> 00:05.000\nGuten Morgen zusammen.\n",
        "video/webcams.webm": webcams(),
        "deskshare/deskshare.webm": screen(),
        f"{folder}/thumbnails/thumb-1.png": slide_picture(1),
    }
    for number in (1, 2, 3):
        content = slide_picture(number) if whiteboard == "svg" else slide(number)
        files[slide_file(number, whiteboard)] = content
    if whiteboard == "svg":
        files[f"{folder}/{POLL}"] = poll_svg()
    else:
        files["tldraw.json"] = tldraw_json(whiteboard)
    return files


def as_html(text: str) -> str:
    """Return a chat message as BigBlueButton keeps it: escaped, with links of addresses."""
    words = escape(text, quote=False).replace("\n", "<br/>").split(" ")
    link = '<a href="{0}" rel="nofollow"><u>{0}</u></a>'
    return " ".join(link.format(word) if word.startswith("https://") else word for word in words)


@cache
def slide_picture(number: int) -> bytes:
    """Return a PNG in the colour of a slide."""
    colour = COLOURS[number - 1].replace("#", "0x")
    done = subprocess.run(
        [
            *("ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"color={colour}:size=160x90"),
            *("-frames:v", "1", "-f", "image2pipe", "-c:v", "png", "-"),
        ],
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    return done.stdout
