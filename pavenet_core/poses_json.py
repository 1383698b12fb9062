"""People as the JSON that `pavenet predict` writes."""

from typing import Any

from pavenet_core.poses import Poses


def people_to_json(poses: Poses) -> list[dict[str, Any]]:
    """Return one entry per person, in pixels of the source image, rounded to what is meant."""
    people = zip(
        *(poses.id_names, poses.scores, poses.bboxes_px),
        *(poses.keypoints_px, poses.keypoint_scores),
        strict=True,
    )
    return [
        {
            'id': name,
            'score': round(float(score), 4),
            'bbox': [round(float(side), 2) for side in bbox],
            'keypoints': [
                [round(float(x), 2), round(float(y), 2), round(float(keypoint_score), 4)]
                for (x, y), keypoint_score in zip(keypoints, keypoint_scores, strict=True)
            ],
        }
        for name, score, bbox, keypoints, keypoint_scores in people
    ]
