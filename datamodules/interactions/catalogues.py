"""Users of labelled rows, to be ranked the whole catalogue for."""

from datamodules.batches import Batch
from datamodules.implicit.loaders import CatalogueLoader
from datamodules.implicit.user_items import UserItems

# Scores of so many users with 40,000 items take 80 MB.
_USERS = 512


def catalogue_loader(train: Batch, held_out: Batch, num_users: int, num_items: int) -> CatalogueLoader:
    """Return the users who have a row with label 1 among the held-out rows, with the items of these rows.

    Items are counted without the unknown item: item 1 of the rows is item 0 of the catalogue. The items of a user's
    training rows are not recommended, whatever their label. Held-out rows of unknown users or items, and those that are
    training rows too, are left out.

    Args:
        train: The training rows.
        held_out: The held-out rows.
        num_users: Number of users, that of unknown users included.
        num_items: Number of items, that of unknown items included.

    Raises:
        ValueError: If no held-out row is left.
    """
    seen = UserItems.of(train.user, train.item - 1, num_users, num_items - 1)
    chosen = (held_out.label > 0) & (held_out.user > 0) & (held_out.item > 0)
    user, item = held_out.user[chosen], held_out.item[chosen] - 1
    is_new = ~seen.contains(user, item)
    if not is_new.any():
        raise ValueError(
            f"none of the {len(held_out.label)} held-out rows can be found in the catalogue: none has label 1, a user "
            "and an item of the training rows, and is no training row itself. Hold out others, or leave cutoffs out"
        )
    relevant = UserItems.of(user[is_new], item[is_new], num_users, num_items - 1)
    return CatalogueLoader(relevant.count.nonzero().squeeze(1), _USERS, seen=seen, relevant=relevant)
