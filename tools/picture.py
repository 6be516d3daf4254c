"""Picture of a report for README, light and dark: title, answer, one accuracy table, recall of pseudo-labels."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from daso.errors import DasoError, error_line
from tools.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

REPORT, OUT = Path("reports/quickstart/index.html"), Path("docs")
SCHEMES = ("light", "dark")
WIDTH, HEIGHT, SCALE = 1120, 1250, 1.35  # CSS pixels, at most this height; device pixels of each
COLOURS = 96  # of the palette, for a small file
# A report with published numbers shows their differences, in the summary; others show the recall of pseudo-labels.
CROP = """
main { padding: 1.6rem 1.6rem 1.2rem !important; }
main > section { content-visibility: visible !important; margin-top: 1rem !important; padding-top: .8rem !important; }
header details, header > :not(.kicker, h1, .sub), .contents, .up, .files, .notes, details:not(.cell), footer,
#summary :is(h2, h3, .facts), #summary > p:not(.answer, #reference), main > section:nth-of-type(n + 3),
main > section:nth-of-type(2) > :not(h2, .scroll, .plates), .scroll:not(:has(.accuracy)),
.plates > figure:not([id$=fig-pseudo]), main:has(#summary-fig-differences) .plates { display: none !important; }
"""


def take(browser: Browser, report: Path, out: Path) -> list[Path]:
    """Write `report-light.png` and `report-dark.png` of a report's page into `out`; return their paths.

    Raises DasoError if the page is missing.
    """
    if not report.is_file():
        raise DasoError(f"{report}: missing; `make reproduce` writes the report of the suite quickstart")
    paths = [out / f"report-{scheme}.png" for scheme in SCHEMES]
    for path, scheme in zip(paths, SCHEMES, strict=True):
        _screenshot(browser, report, scheme).quantize(COLOURS).save(path, optimize=True)
    return paths


def _screenshot(browser: Browser, report: Path, scheme: str) -> Image.Image:
    page = browser.new_page(
        viewport={"width": WIDTH, "height": HEIGHT},
        device_scale_factor=SCALE,
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page.goto(report.resolve().as_uri())
    page.add_style_tag(content=CROP)
    height = min(HEIGHT, page.evaluate("document.querySelector('main').scrollHeight"))
    picture = page.screenshot(clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
    page.close()
    return Image.open(io.BytesIO(picture)).convert("RGB")


def main() -> int:
    """Take the pictures and print their paths, or the error on stderr; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.picture", description="Take README's pictures of a report.")
    parser.add_argument("report", nargs="?", type=Path, default=REPORT, help=f"page of a report; default: {REPORT}")
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder of the pictures; default: {OUT}")
    args = parser.parse_args()
    try:
        with chromium() as browser:
            paths = take(browser, args.report, args.out)
        for path in paths:
            sys.stdout.write(f"{path}: {path.stat().st_size / 1000:.0f} kB\n")
    except DasoError as error:
        sys.stderr.write(f"{error_line(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
