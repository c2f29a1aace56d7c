"""Inner products of a block of users with the catalogue, in tiles of items whose scores stay in the cache.

One product of 128 users with 41,000 items writes rows that are 160 KB apart and waits for memory: in tiles of 2,048
items it takes half the time, and the maxima of groups are taken while a tile is near. On a GPU there is one tile.
"""

from __future__ import annotations

import torch
from torch import Tensor

from evaluation.best import GROUP, columns_of

TILE = 2048  # items; 1 MiB of scores for 128 users
CACHED, USERS = 2**22, 128  # scores of a block (16 MiB), and users of it at least where memory allows


class Tiles:
    """Scores of up to `size` users with all items, [T, size, W] for T tiles of W items; a `Scored`."""

    def __init__(self, item: Tensor, size: int) -> None:
        """`item`: [I, d]; the buffer is made once and filled again and again."""
        groups = -(-len(item) // GROUP)
        self.width = groups * GROUP if item.device.type != "cpu" else min(TILE, groups * GROUP)
        self.size, self.users = size, 0
        tiles = -(-len(item) // self.width)
        self.items = torch.split(item, self.width)
        self.scores = item.new_full((tiles, size, self.width), -torch.inf)  # what no item has stays -inf
        self.maxima = item.new_empty((tiles, size, self.width // GROUP))

    def fill(self, user: Tensor) -> None:
        """Score users [B, d], B at most `size`."""
        self.users = len(user)
        for tile, item in enumerate(self.items):
            torch.mm(user, item.T, out=self.scores[tile, : len(user), : len(item)])
            self._look(tile)

    def mask(self, row: Tensor, column: Tensor) -> None:
        """Take entries [M] out: row number within the block, and item."""
        tile, inside = column.div(self.width, rounding_mode="floor"), column % self.width
        place = (tile * self.size + row) * self.width + inside
        self.scores.view(-1)[place] = -torch.inf
        group = place.div(GROUP, rounding_mode="floor")
        if len(group) > self.maxima.numel() // 8:
            for number in range(len(self.items)):
                self._look(number)
        else:
            self.maxima.view(-1)[group] = self.scores.view(-1, GROUP)[group].amax(dim=1)

    def candidates(self, count: int) -> tuple[Tensor, Tensor]:
        per_tile = self.width // GROUP
        maxima = self.maxima[:, : self.users].permute(1, 0, 2).flatten(1)  # [B, T * W / GROUP]
        if maxima.shape[1] < 4 * count:  # too few groups to leave any out
            every = torch.arange(maxima.shape[1] * GROUP, device=maxima.device)
            return self._rows(slice(self.users)), every.expand(self.users, -1)
        groups = maxima.topk(count, dim=1, sorted=False).indices  # [B, count]
        row = torch.arange(self.users, device=groups.device)[:, None]
        tile = groups.div(per_tile, rounding_mode="floor")
        place = (tile * self.size + row) * per_tile + groups % per_tile
        return self.scores.view(-1, GROUP)[place.flatten()].view(self.users, -1), columns_of(groups)

    def rows(self, index: Tensor) -> Tensor:
        return self._rows(index)

    def _rows(self, index: Tensor | slice) -> Tensor:
        return self.scores[:, index].permute(1, 0, 2).flatten(1)

    def _look(self, tile: int) -> None:
        scores = torch.unflatten(self.scores[tile, : self.users], 1, (-1, GROUP))
        torch.amax(scores, 2, out=self.maxima[tile, : self.users])


def block_size(num_items: int, scores_at_once: int, device: torch.device) -> int:
    """Users that are scored together: as many as memory allows, on a CPU no more than its cache holds."""
    most = max(1, scores_at_once // num_items)
    return most if device.type != "cpu" else min(most, max(USERS, CACHED // num_items))
