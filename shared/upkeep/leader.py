"""Who does upkeep now: a row with a lease that the leader renews and anyone may take when it has run out."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import or_

from shared.models import Leadership
from shared.models.types import MICROSECONDS, boot_id, lease_now
from shared.store import Store

UPKEEP = "upkeep"


def lead(store: Store, who: UUID, seconds: float) -> bool:
    """Takes or renews the leadership of upkeep for `seconds`; False while another holds it."""
    with store.transaction() as tx:
        until = lease_now() + round(seconds * MICROSECONDS)
        mine = {"holder": who, "lease_until": until, "lease_boot": boot_id()}
        free = or_(Leadership.holder == who, Leadership.lease_until <= lease_now(), Leadership.lease_boot != boot_id())
        statement = (
            tx.insert(Leadership)
            .values(name=UPKEEP, **mine)
            .on_conflict_do_update(index_elements=[Leadership.name], set_=mine, where=free)
        )
        return tx.execute(statement.returning(Leadership.name)).first() is not None
