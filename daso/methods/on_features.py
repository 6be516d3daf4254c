"""Training on features of a frozen network: which components can.

A component declares `on_features`: "supported"; "neck" if it trains the features themselves, which needs a trainable
layer below the heads; "refused" if it needs images, or would be another method on features; or "required" if it cannot
train on images.
"""

from __future__ import annotations

from typing import Literal

OnFeatures = Literal["supported", "neck", "refused", "required"]
