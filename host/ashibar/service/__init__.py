"""Sessions, alarms, incidents, safety log and procedures of every rig, around the core."""

from ashibar.service.desk import ConflictError, Desk, NotFoundError
from ashibar.service.service import Service

__all__ = ["ConflictError", "Desk", "NotFoundError", "Service"]
