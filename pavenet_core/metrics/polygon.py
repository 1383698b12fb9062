"""Points in polygons."""

import numpy as np
from numpy.typing import NDArray


def inside(points: NDArray[np.float32], polygon: NDArray[np.float32]) -> NDArray[np.bool_]:
    """
    Say which points are inside a polygon, its boundary not included.

    Where the polygon crosses itself, what is enclosed an even number of times is outside.

    points   (..., 2)
    polygon  (n, 2) corners in turn; the last joins the first
    """
    a = polygon.astype(float)
    b = np.roll(a, -1, axis=0)
    x, y = np.moveaxis(points.astype(float)[..., None, :], -1, 0)
    (ax, ay), (bx, by) = a.T, b.T
    side = (bx - ax) * (y - ay) - (by - ay) * (x - ax)  # > 0 to the left of a -> b
    crosses = ((ay > y) != (by > y)) & ((side > 0) == (by > ay)) & (side != 0)
    between = (np.minimum(ax, bx) <= x) & (x <= np.maximum(ax, bx))
    between &= (np.minimum(ay, by) <= y) & (y <= np.maximum(ay, by))
    on_boundary = ((side == 0) & between).any(-1)
    return np.asarray((crosses.sum(-1) % 2 == 1) & ~on_boundary, bool)
