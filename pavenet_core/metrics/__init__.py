"""How good poses are, by the rules of COCO and of PoseTrack; numpy and pycocotools only."""

from pavenet_core.metrics.oks import oks_ap
from pavenet_core.metrics.posetrack import posetrack_ap

__all__ = ['oks_ap', 'posetrack_ap']
