"""Mono PCM: float32 in [-1, 1] and int16."""

import numpy as np
from numpy.typing import NDArray


def bounded(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return float32 samples clipped to [-1, 1], with NaN as 0 and the infinities as full scale."""
    finite = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
    return np.clip(finite, -1.0, 1.0).astype(np.float32, copy=False)


def float_to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Convert float32 samples to int16, symmetrically: 1.0 is 32767 and -1.0 is -32767.

    Samples outside [-1, 1] are clipped and NaN becomes 0, so that nothing wraps round.
    """
    scaled: NDArray[np.float32] = np.rint(bounded(samples) * np.float32(32767))
    return scaled.astype(np.int16)
