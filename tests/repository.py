"""Parameters of the repository, read once per process."""

from pathlib import Path

from daso.config.load import load_params

ROOT = Path(__file__).resolve().parents[1]
PARAMS = load_params(ROOT / "params")
