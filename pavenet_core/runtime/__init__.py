"""The part that a robot runs: numpy, OpenCV and onnxruntime, no torch."""

from pavenet_core.runtime.estimator import VideoPoseEstimator
from pavenet_core.runtime.identities import Identities
from pavenet_core.runtime.pose_model import PoseModel
from pavenet_core.runtime.stream import stream_poses

__all__ = ['Identities', 'PoseModel', 'VideoPoseEstimator', 'stream_poses']
