"""How the network's numbers become people: the paper's way, and the authors' code's."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PostprocessConfig:
    """
    Rules between the network and the answer; the defaults move and drop nothing.

    max_people             at most so many people per frame, the best ones
    clip_to_image          move keypoints outside the picture to its border
    keypoint_score_scale   factor on every keypoint's score, in [0, 1]
    times_person_score     multiply every keypoint's score by its person's
    shrink_uncertain       pull keypoints of very low score towards the picture's origin, by
                           p^5 / (p^5 + 1e-10) with p the keypoint's own score
    nms_oks_threshold      drop a person more similar than this to a better one; None keeps all
    """

    max_people: int = 20
    clip_to_image: bool = False
    keypoint_score_scale: float = 1.0
    times_person_score: bool = False
    shrink_uncertain: bool = False
    nms_oks_threshold: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no answer can follow, naming the value."""
        if not isinstance(self.max_people, int) or self.max_people < 1:
            raise ValueError(
                f'max_people must be an integer of 1 or more, got {self.max_people!r}'
            )
        if not 0 <= self.keypoint_score_scale <= 1:
            raise ValueError(
                f'keypoint_score_scale must be in [0, 1], got {self.keypoint_score_scale}'
            )
        if self.nms_oks_threshold is not None and not 0 <= self.nms_oks_threshold <= 1:
            raise ValueError(f'nms_oks_threshold must be in [0, 1], got {self.nms_oks_threshold}')


PAPER_POSTPROCESS = PostprocessConfig()
# The authors' released test code: `_get_bboxes_single` of their head.
AUTHORS_POSTPROCESS = PostprocessConfig(
    max_people=100,
    clip_to_image=True,
    keypoint_score_scale=0.7,
    times_person_score=True,
    shrink_uncertain=True,
    nms_oks_threshold=0.45,
)
