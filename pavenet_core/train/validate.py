"""How good a network in training is, on labelled frames that it does not learn from."""

import cv2
import numpy as np
import torch

from pavenet_core.data.dataset import Dataset, Image, LabelledFrame, Neighbours
from pavenet_core.metrics import oks_ap, posetrack_ap
from pavenet_core.metrics.posetrack import times_person
from pavenet_core.model import PaveNet
from pavenet_core.poses import Poses
from pavenet_core.skeleton import POSETRACK15
from pavenet_core.train.distributed import Processes, gather
from pavenet_core.train.window import read_window

SHOWN = ('AP', 'AP50', 'AP75', 'AR')


class Validation:
    """Find the people of a dataset, its frames shared among the processes, and measure them."""

    def __init__(self, dataset: Dataset, neighbours: Neighbours, processes: Processes) -> None:
        self.dataset, self.neighbours, self.processes = dataset, neighbours, processes

    @torch.inference_mode()
    def __call__(self, model: PaveNet) -> dict[str, float]:
        """Return PoseTrack's AP, where the labels allow it, and COCO's, in [0, 1]."""
        mine = self.dataset.frames[self.processes.rank :: self.processes.count]
        poses = gather([find_people(model, frame, self.neighbours) for frame in mine])
        accuracy: dict[str, float | None] = {}
        if self.dataset.skeleton == POSETRACK15:
            total = posetrack_ap(self.dataset, [times_person(p) for p in poses])['Total']
            accuracy['PoseTrack'] = None if total is None else total / 100
        coco = oks_ap(self.dataset, poses)
        accuracy |= {name: coco[name] for name in SHOWN}
        return {name: value for name, value in accuracy.items() if value is not None}


def find_people(model: PaveNet, frame: LabelledFrame, neighbours: Neighbours) -> Poses:
    """Return the people of a frame seen with its neighbours, best first, in its pixels."""
    config = model.config
    window = read_window(frame, neighbours)
    height, width = window[0].shape[:2]
    device = model.pixel_mean.device
    fitted = np.stack([fit(image, config.input_long_side) for image in window])
    size = torch.tensor([fitted.shape[1:3]], device=device)
    alignment = config.input_alignment
    padded = [-(-side // alignment) * alignment for side in fitted.shape[1:3]]
    pixels = torch.zeros(len(fitted), *padded, 3, dtype=torch.uint8)
    pixels[:, : fitted.shape[1], : fitted.shape[2]] = torch.from_numpy(fitted)
    x = model.normalise(pixels.to(device), size.expand(len(fitted), 2))
    people, joints = model(x[None], size, config.postprocess.max_people)
    believed = (1 - (-0.2 / joints.sigmas[0].clamp(min=1e-6)).exp()).prod(-1)
    extent = np.array([width, height], np.float32)
    return Poses(
        0,
        joints.keypoints[0].cpu().numpy() * extent,
        believed.cpu().numpy(),
        people.class_logits[0].sigmoid().cpu().numpy(),
    )


def fit(image: Image, long_side: int) -> Image:
    """Resize a picture as the runtime does."""
    scale = long_side / max(image.shape[:2])
    height, width = (max(1, int(side * scale + 0.5)) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
