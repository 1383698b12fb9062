"""What the network says of the key frame, stage by stage."""

from typing import NamedTuple

from torch import Tensor


class PosePrediction(NamedTuple):
    """
    Hold the poses of one stage: of the S proposals or of the Q queries of a pose decoder layer.

    class_logits  (B, N)        person or not
    poses         (B, N, K, 2)  x then y in [0, 1] of the valid image
    sigmas        (B, N, K, 2)  spread of the pose per axis, in (0, 1)
    """

    class_logits: Tensor
    poses: Tensor
    sigmas: Tensor


class JointPrediction(NamedTuple):
    """
    Hold the keypoints of one joint decoder layer, people padded to the fullest image.

    keypoints  (B, P, K, 2)  x then y in [0, 1] of the valid image
    sigmas     (B, P, K, 2)  spread of the keypoints per axis, in (0, 1)
    """

    keypoints: Tensor
    sigmas: Tensor
