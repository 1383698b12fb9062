"""Choose the pose queries: the key frame's most promising tokens, each with a first pose."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pavenet_core.config import ModelConfig
from pavenet_core.model.layers import Mlp, SigmaHead, class_head
from pavenet_core.model.predictions import PosePrediction
from pavenet_core.model.spatial_encoder import Memory, token_centres


class Queries(NamedTuple):
    """
    What the pose decoder starts from.

    query            (B, Q, C)
    reference_poses  (B, Q, K, 2) in [0, 1] of the valid picture, or of each frame (B, T, Q, K, 2)
    logits           (B, Q) scores that the decoder's are added to, where there are any
    sigmas           (B, Q, K, 2) how sure the key frame's keypoints are, where that is known
    """

    query: Tensor
    reference_poses: Tensor
    logits: Tensor | None = None
    sigmas: Tensor | None = None


class QuerySelection(nn.Module):
    """
    Score a pose at every token of the key frame and keep the best Q.

    A query is a learned vector plus the token's own feature. Selected features and poses are
    detached: the decoders do not train the proposals.

    Tokens outside the picture are taken last, so that padding pushes nobody out; those and the
    queries beyond the number of tokens are all alike. The authors' code takes the best of all.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, keypoints = config.channels, len(config.skeleton)
        self.num_queries, self.valid_only = config.num_queries, config.valid_tokens_only
        self.query_features = config.query_features
        self.output = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        self.class_head = class_head(channels)
        self.keypoint_head = Mlp(channels, 2 * channels, 2 * keypoints, 4, zero_last=True)
        self.sigma_head = SigmaHead(channels, 2 * keypoints)
        self.content = nn.Parameter(torch.randn(config.num_queries, channels))

    def forward(self, memory: Memory) -> tuple[PosePrediction, Queries]:
        """Return the proposals of all S tokens and the queries made of the best Q."""
        logits, valid = proposal_logits(memory)
        tokens = memory.tokens.masked_fill(~valid[..., None], 0)
        features = self.norm(self.output(tokens))
        scores = self.class_head(features)[..., 0]
        sigmas = self.sigma_head(features).sigmoid().unflatten(2, (-1, 2))
        proposals = PosePrediction(scores, self._poses(features, logits), sigmas)

        best, usable = self._best(scores, valid)
        chosen = features.detach().gather(1, best.expand(-1, -1, features.shape[2]))
        chosen = torch.where(usable, chosen, self.norm(self.output.bias).detach())
        logits = logits.gather(1, best.expand(-1, -1, 2)).masked_fill(~usable, float('inf'))
        # Computed anew for the chosen: at run time nobody asks for the poses of all tokens, and
        # the exported graph leaves them out.
        references = self._poses(chosen, logits).detach()
        content = self.content.expand_as(chosen)
        query = chosen + content if self.query_features else content
        return proposals, Queries(query, references)

    def _best(self, scores: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Return the Q best tokens' indices (N, Q, 1) and whether each may start a pose."""
        if self.valid_only:
            scores = scores.masked_fill(~valid, -torch.inf)
        scores = functional.pad(scores, (0, self.num_queries), value=-torch.inf)
        best = scores.topk(self.num_queries, dim=1).indices
        tokens = valid.shape[1]
        usable = (best < tokens) & valid.gather(1, best.clamp(max=tokens - 1))
        return best.clamp(max=tokens - 1)[..., None], usable[..., None]

    def _poses(self, features: Tensor, logits: Tensor) -> Tensor:
        """Return (N, n, K, 2): the pose head's offsets from each token's centre."""
        return (self.keypoint_head(features).unflatten(2, (-1, 2)) + logits[:, :, None]).sigmoid()


class LearnedQueries(nn.Module):
    """Start from learned poses, the same in every picture (paper Table 5); propose nothing."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.content = nn.Parameter(torch.randn(config.num_queries, config.channels))
        centres = torch.rand(config.num_queries, 1, 2)
        spread = 0.05 * torch.randn(config.num_queries, len(config.skeleton), 2)
        self.pose_logits = nn.Parameter(torch.logit(centres, 0.01) + spread)

    def forward(self, memory: Memory) -> tuple[None, Queries]:
        """Return no proposals, and the queries for each picture."""
        pictures = memory.tokens.shape[0]
        content = self.content.expand(pictures, -1, -1)
        return None, Queries(content, self.pose_logits.sigmoid().expand(pictures, -1, -1, -1))


def proposal_logits(memory: Memory) -> tuple[Tensor, Tensor]:
    """
    Return the logit of each token's centre and whether a pose may start there.

    returns  (N, S, 2) +inf where not valid, (N, S) bool: inside the picture, off its very edge
    """
    centres = token_centres(memory)
    valid = ((centres > 0.01) & (centres < 0.99)).all(2) & ~memory.padding_mask
    logits = torch.log(centres / (1 - centres))
    return logits.masked_fill(~valid[..., None], float('inf')), valid
