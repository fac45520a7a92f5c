"""Handwritten digits that ship with scikit-learn, split once and for all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

Array = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Digits:
    """1797 images of 8 x 8 pixels in [0, 1] with their digit: 1347 to train on, 450 to test on."""

    train_images: Array
    train_labels: Labels
    test_images: Array
    test_labels: Labels


def load() -> Digits:
    """The fixed, stratified split."""
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8) / 16).astype(np.float32)
    train, test = train_test_split(np.arange(len(labels)), test_size=450, stratify=labels, random_state=0)
    return Digits(images[train], labels[train], images[test], labels[test])
