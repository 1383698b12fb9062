"""Link what each frame of a window says of the same person, before any decoder layer."""

import torch
from torch import Tensor, nn

from pavenet_core.config import ModelConfig
from pavenet_core.model.peak_selection import NO_PEAK, Peaks, similarity
from pavenet_core.model.query_selection import Queries

LINKED = 0.3  # object keypoint similarity from which poses of two frames are one person's
SEEN = 0.2  # score from which a person counts as known
UNSEEN = 3  # one in so many peaks of a neighbour may add a person who is not known
# Chosen on validation clips, key frames spoiled or left as they are (benchmarks/LOG.md).
NEIGHBOUR_WEIGHT = 0.5  # of a neighbour's keypoint, when both are as warm
KEY_SHARE = 0.4  # of the key frame in a person's score


class PeakLinking(nn.Module):
    """
    Give each query the pose that its person has in each frame, and see the key frame with them.

    Every frame has found its own peaks, once. A person of the key frame is linked with the most
    similar pose of each neighbour; a keypoint is the mean of all frames', each counting by how
    warm it is there, so that one that is blurred or hidden in the key frame comes from where it
    is seen. A person whom only neighbours show becomes a query too. Nothing here is learned, and
    a window of equal frames gives what the one frame gives.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_frames, self.key_frame = config.num_frames, config.key_frame
        self.num_queries = config.num_queries
        self.variances: Tensor
        variances = (2 * torch.tensor(config.skeleton.sigmas)) ** 2
        self.register_buffer('variances', variances, persistent=False)

    def forward(self, frames: list[Peaks]) -> Queries:
        """Return the best Q queries of T frames, each of B windows; poses (B, T, Q, K, 2)."""
        key = frames[self.key_frame]
        if self.num_frames == 1:
            return Queries(key.query, key.poses[:, None], key.logits)
        everyone = key  # and whom only neighbours show, each once
        for frame in frames[: self.key_frame] + frames[self.key_frame + 1 :]:
            pair = zip(everyone, self._unseen(frame, everyone), strict=True)
            everyone = Peaks(*(torch.cat(x, 1) for x in pair))
        linked = [
            self._link(everyone, frame) if t != self.key_frame else self._own(everyone)
            for t, frame in enumerate(frames)
        ]
        poses, weights, scores = (torch.stack(x, 1) for x in zip(*linked, strict=True))
        shares = torch.full((self.num_frames,), NEIGHBOUR_WEIGHT, device=poses.device)
        shares[self.key_frame] = 1
        weights = weights * shares[:, None, None]
        total = weights.sum(1, keepdim=True)
        mean = (poses * weights[..., None]).sum(1) / total[:, 0, :, :, None].clamp(min=1e-9)
        mean = torch.where(total[:, 0, :, :, None] > 1e-9, mean, everyone.poses)
        poses = torch.where((weights.sum(3) > 0)[..., None, None], poses, mean[:, None])
        before, after = poses[:, : self.key_frame], poses[:, self.key_frame + 1 :]
        poses = torch.cat([before, mean[:, None], after], 1)
        return self._best(everyone, poses, self._logits(everyone.logits, scores))

    def _unseen(self, frame: Peaks, everyone: Peaks) -> Peaks:
        """Return a neighbour's best peaks that are nobody known so far, others far last."""
        alike = similarity(frame.poses, everyone.poses, self.variances)
        known = (alike * (everyone.logits.sigmoid() > SEEN)[:, None]).amax(2) >= LINKED
        logits = frame.logits + NO_PEAK * known
        best = logits.topk(self.num_queries // UNSEEN, 1)
        found = frame.at(best.indices)
        return found._replace(logits=best.values)

    def _own(self, everyone: Peaks) -> tuple[Tensor, Tensor, Tensor]:
        """Return the same as `_link` for the key frame, where those added are not."""
        there = torch.arange(everyone.logits.shape[1], device=everyone.poses.device)
        own = (there < self.num_queries)[None].to(everyone.poses.dtype)
        scores = everyone.logits.sigmoid() * own
        return everyone.poses, everyone.warmth.square() * own[..., None], scores

    def _link(self, everyone: Peaks, frame: Peaks) -> tuple[Tensor, Tensor, Tensor]:
        """
        Return poses (B, N, K, 2) in a frame, how much they count (B, N, K), and scores (B, N).

        Two are linked that choose each other: of several alike, a sure one is preferred.
        """
        alike = similarity(everyone.poses, frame.poses, self.variances)
        ours, scores = (x.logits.sigmoid().clamp(min=1e-6) for x in (everyone, frame))
        liked = alike * (ours[:, :, None] * scores[:, None]) ** 0.25
        best = liked.argmax(2)
        back = liked.argmax(1).gather(1, best)
        mutual = back == torch.arange(best.shape[1], device=best.device)
        linked = mutual & (alike.gather(2, best[..., None])[..., 0] > LINKED)
        found = frame.at(best)
        score = scores.gather(1, best) * linked
        return found.poses, found.warmth.square() * linked[..., None], score

    def _logits(self, own: Tensor, scores: Tensor) -> Tensor:
        """Mix the scores (B, T, N) of all frames; no peak stays none, whoever is beside it."""
        share = (1 - KEY_SHARE) / (self.num_frames - 1)
        mixed = share * scores.sum(1) + (KEY_SHARE - share) * scores[:, self.key_frame]
        return torch.where(own < NO_PEAK / 2, own, torch.logit(mixed, 1e-6))

    def _best(self, everyone: Peaks, poses: Tensor, logits: Tensor) -> Queries:
        logits, best = logits.topk(self.num_queries, 1)
        query = everyone.at(best).query
        index = best[:, None, :, None, None].expand(-1, poses.shape[1], -1, *poses.shape[3:])
        return Queries(query, poses.gather(2, index), logits)
