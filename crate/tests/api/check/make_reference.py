"""Writes reference.json: what numpy and scikit-learn say of the numbers behind a check of photographs.

    python3 -m pip install scikit-learn==1.9.1 numpy==2.4.6
    python3 make_reference.py

The unit tests in crate/src/check need only the file. tests/test_check_reference.py makes the numbers again.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.neighbors import NearestNeighbors

random = np.random.default_rng(14)


def rounded(values):
    return [float(f"{v:.7g}") for v in np.asarray(values, dtype=float).ravel()]


def neighbours():
    """Distances to the nearest others of rows that are scaled to length 1."""
    cases = []
    for n, c, k in [(12, 5, 3), (40, 33, 10), (4, 3, 10)]:
        rows = np.maximum(random.normal(size=(n, c)), 0).astype(np.float32) + np.float32(0.01)
        unit = rows.astype(float) / np.linalg.norm(rows.astype(float), axis=1, keepdims=True)
        kept = min(k, n - 1)
        distances, _ = NearestNeighbors(n_neighbors=kept).fit(unit).kneighbors()
        cosines = unit @ unit.T
        pairs = [[i, j] for i in range(n) for j in range(i + 1, n) if cosines[i, j] >= 0.6]
        # No cosine lies so near to the limit that rounding decides.
        assert np.abs(cosines[np.triu_indices(n, 1)] - 0.6).min() > 1e-5
        cases.append({"rows": rounded(rows), "width": c, "k": k, "distances": rounded(distances), "kept": kept, "pairs": pairs})
    return cases


def fingerprints():
    """Means of 32 x 32 cells where a cell is a whole number of pixels, and correlations of two of them."""
    cases = []
    for height, width in [(32, 64), (32, 32), (64, 32)]:
        pixels = random.integers(0, 256, size=(height, width, 3), dtype=np.uint8)
        # Something smooth below the noise.
        y, x = np.mgrid[0:height, 0:width]
        smooth = 128 + 100 * np.sin(3 * x / width + random.normal()) * np.cos(4 * y / height)
        pixels = (0.3 * pixels + 0.7 * smooth[..., None]).astype(np.uint8)
        grey = pixels.astype(float) @ [0.299, 0.587, 0.114]
        cells = grey.reshape(32, height // 32, 32, width // 32).mean(axis=(1, 3))
        cases.append({"height": height, "width": width, "pixels": pixels.ravel().tolist(), "cells": rounded(cells)})
    cells = [np.round(case["cells"]) for case in cases]
    correlations = np.corrcoef(cells)
    # Of 8 x 8 squares, and of the mirror images of the first.
    # Halves are rounded up, as Rust does.
    cells = [np.floor(np.array(case["cells"]).reshape(32, 32) + 0.5) for case in cases]
    coarse = [cell.reshape(8, 4, 8, 4).mean(axis=(1, 3)) for cell in cells]
    rows = [square.ravel() for square in coarse] + [square[:, ::-1].ravel() for square in coarse]
    coarse = np.corrcoef(rows)[:, : len(cells)]
    return {"cases": cases, "correlations": rounded(correlations), "coarse": rounded(coarse)}


def made():
    return {"neighbours": neighbours(), "fingerprints": fingerprints()}


def main():
    path = Path(__file__).with_name("reference.json")
    path.write_text(json.dumps(made(), separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
