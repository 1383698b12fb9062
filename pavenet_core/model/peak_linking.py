"""Link what each frame of a window says of the same person, before any decoder layer."""

import torch
from torch import Tensor, nn

from pavenet_core.config import ModelConfig
from pavenet_core.model.peak_selection import NO_PEAK, Peaks, similarity
from pavenet_core.model.query_selection import Queries

LINKED = 0.3  # object keypoint similarity from which poses of two frames are one person's
SEEN = 0.2  # score from which a person counts as known
UNSEEN = 3  # one in so many peaks of a frame may add a person who is not known
# Chosen on validation clips, key frames spoiled or left as they are (benchmarks/LOG.md).
BEFORE = 0.5  # of a keypoint of a frame before the key frame, when both are as warm
AFTER = 0.2  # of one that comes after it, in whose place live an older one stands
KEY_SHARE = 0.3  # of the key frame in a person's score
UNLINKED = 0.5  # of its own score counts for a frame in which a person is not found: they may run
UNSURE = 0.4  # how sure a key frame's pose must be for half of the way of others to it


class PeakLinking(nn.Module):
    """
    Give each query the pose that its person has in each frame, and see the key frame with them.

    Every frame has found its own peaks, once. A person of the key frame is linked with the most
    similar pose of each neighbour, which is moved to where the key frame has the person; a
    keypoint is the mean of all frames', each counting by how warm it is there, so that one that
    is blurred or hidden in the key frame comes from where it is seen. A person whom only frames
    before it show becomes a query too. Nothing here is learned, and a window of equal frames
    gives what the one frame gives, but for second answers of a person, which score less.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_frames, self.key_frame = config.num_frames, config.key_frame
        self.num_queries = config.num_queries
        self.variances: Tensor
        variances = (2 * torch.tensor(config.skeleton.sigmas)) ** 2
        self.register_buffer('variances', variances, persistent=False)
        self.counts: Tensor
        after = self.num_frames - 1 - self.key_frame
        counts = torch.tensor([BEFORE] * self.key_frame + [AFTER] * after)[:, None]
        self.register_buffer('counts', counts, persistent=False)

    def forward(self, frames: list[Peaks]) -> Queries:
        """Return the best Q queries of T frames, each of B windows; poses (B, T, Q, K, 2)."""
        key = frames[self.key_frame]
        if self.num_frames == 1:
            return Queries(key.query, key.poses[:, None], key.logits, spread(key.warmth))
        others = frames[: self.key_frame] + frames[self.key_frame + 1 :]
        beside = Peaks(*(torch.cat(x, 1) for x in zip(*others, strict=True)))
        everyone, alike = self._everyone(key, beside)
        poses, weights, scores = self._link(everyone, beside, alike)
        mean, warmth = self._mean(everyone, poses, weights, scores)
        poses = torch.where((weights.sum(3) > 0)[..., None, None], poses, mean[:, :, None])
        before, after = poses[:, :, : self.key_frame], poses[:, :, self.key_frame :]
        poses = torch.cat([before, mean[:, :, None], after], 2)
        logits, best = self._logits(everyone, scores).topk(self.num_queries, 1)
        index = best[:, :, None, None, None].expand(-1, -1, *poses.shape[2:])
        poses = poses.gather(1, index).transpose(1, 2)
        chosen = everyone._replace(warmth=warmth).at(best)
        return Queries(chosen.query, poses, logits, spread(chosen.warmth))

    def _everyone(self, key: Peaks, beside: Peaks) -> tuple[Peaks, Tensor]:
        """
        Return the key frame's people and whom only frames before it show, each once.

        A frame that comes after adds nobody: live an older one stands there, of which somebody
        fast would be added a second time.

        beside   the peaks of all neighbours, M of them, the frames before the key frame first
        returns  N peaks, and how similar each is to each of `beside`, (B, N, M)
        """
        alike = similarity(key.poses, beside.poses, self.variances)
        sure = key.logits.sigmoid() > SEEN
        before = self.key_frame * key.logits.shape[1]
        known = (alike[:, :, :before] * sure[:, :, None]).amax(1) >= LINKED
        lowered = beside.logits[:, :before] + NO_PEAK * known
        best = lowered.topk(self.key_frame * (self.num_queries // UNSEEN), 1)
        added = beside.at(best.indices)
        alike_added = similarity(added.poses, beside.poses, self.variances)
        among = alike_added.gather(2, best.indices[:, None].expand(-1, best.indices.shape[1], -1))
        sure = best.values.sigmoid() > SEEN
        # Best first: of two alike the one before stays.
        twice = ((among * sure[:, None]).tril(-1) >= LINKED).any(2)
        added = added._replace(logits=best.values + NO_PEAK * twice)
        everyone = Peaks(*(torch.cat(x, 1) for x in zip(key, added, strict=True)))
        return everyone, torch.cat([alike, alike_added], 1)

    def _link(
        self, everyone: Peaks, beside: Peaks, alike: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """
        Return what each neighbour, F of them, shows of N people.

        Two are linked that choose each other: of several alike, a sure one is preferred.

        returns  poses (B, N, F, K, 2), how much they count (B, N, F, K), and scores (B, N, F)
        """
        frames, peaks = self.num_frames - 1, beside.logits.shape[1] // (self.num_frames - 1)
        ours, scores = (x.logits.sigmoid().clamp(min=1e-6) for x in (everyone, beside))
        liked = alike * ours[:, :, None] ** 0.25 * scores[:, None] ** 0.25
        liked = liked.unflatten(2, (frames, peaks))
        best = liked.argmax(3)  # (B, N, F)
        back = liked.argmax(1).gather(2, best.transpose(1, 2)).transpose(1, 2)
        mutual = back == torch.arange(best.shape[1], device=best.device)[:, None]
        best = (best + peaks * torch.arange(frames, device=best.device)).flatten(1)
        likeness = alike.gather(2, best.unflatten(1, (-1, frames)))
        linked = mutual & (likeness > LINKED)
        found = beside.at(best)
        weights = found.warmth.square().unflatten(1, (-1, frames)) * linked[..., None]
        score = scores.gather(1, best).unflatten(1, (-1, frames)) * linked
        return found.poses.unflatten(1, (-1, frames)), self.counts * weights, score

    def _mean(
        self, everyone: Peaks, poses: Tensor, weights: Tensor, scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        """
        See the key frame with what `_link` found in its neighbours.

        returns  poses (B, N, K, 2), and how warm each keypoint is (B, N, K), of the frames that
                 show the person
        """
        there = self._in_key_frame(everyone)
        own = everyone.warmth.square() * there[..., None]
        poses = self._moved(everyone, own, poses, weights)
        total = own + weights.sum(2)
        mean = everyone.poses * own[..., None] + (poses * weights[..., None]).sum(2)
        known = (total > 1e-9)[..., None]
        mean = torch.where(known, mean / total[..., None].clamp(min=1e-9), everyone.poses)
        counted = there + ((scores > 0) * self.counts[:, 0]).sum(2)
        return mean, (total / counted[..., None].clamp(min=1e-9)).sqrt()

    def _moved(self, everyone: Peaks, own: Tensor, poses: Tensor, weights: Tensor) -> Tensor:
        """
        Move the neighbours' poses as wholes to the key frame's own, the less the less sure it is.

        own      (B, N, K) how much the key frame's keypoints count, 0 where it has none
        returns  poses (B, N, F, K, 2)
        """
        shares = own.square()[:, :, None] * weights
        apart = everyone.poses[:, :, None] - poses
        way = (shares[..., None] * apart).sum(3) / (shares.sum(3) + UNSURE)[..., None]
        return poses + way[:, :, :, None]

    def _in_key_frame(self, everyone: Peaks) -> Tensor:
        """Return 1 for the key frame's own peaks and 0 for those added, (1, N)."""
        there = torch.arange(everyone.logits.shape[1], device=everyone.poses.device)
        return (there < self.num_queries)[None].to(everyone.poses.dtype)

    def _logits(self, everyone: Peaks, scores: Tensor) -> Tensor:
        """Mix the neighbours' scores (B, N, F) with its own; no peak stays none."""
        own = everyone.logits.sigmoid() * self._in_key_frame(everyone)
        scores = torch.where(scores > 0, scores, UNLINKED * own[..., None])
        mixed = KEY_SHARE * own + (1 - KEY_SHARE) / (self.num_frames - 1) * scores.sum(2)
        there = everyone.logits >= NO_PEAK / 2
        return torch.where(there, torch.logit(mixed, 1e-6), everyone.logits)


def spread(warmth: Tensor) -> Tensor:
    """
    Return the spread that stands for a keypoint's score (B, N, K) to whoever reads the network.

    The runtime has the score back by the authors' formula, (1 - exp(-0.2 / sigma)) of both axes.
    """
    of_axis = warmth.clamp(0, 1).sqrt().clamp(1e-4, 1 - 1e-4)
    sigmas = -0.2 / torch.log(1 - of_axis)
    return sigmas[..., None].expand(*warmth.shape, 2)
