"""REST: series of the record at any zoom. It parses and words; the journal's series reader does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Protocol

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from ashibar.core.pyramid import SeriesError
from ashibar.web import models
from ashibar.web.page import ProblemError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_POINTS = 5000


class SeriesSource(Protocol):
    """What the web edge asks of the journal, from a worker thread: arrays, or SeriesError with the reason."""

    def series(  # noqa: D102
        self, rig: str, quantity: str, from_us: int, to_us: int, max_points: int
    ) -> Any: ...

    def quantities(self, rig: str) -> list[str]: ...  # noqa: D102


class SeriesOut(BaseModel):
    """One quantity in steps; null where no value is known. Times are Unix seconds, UTC."""

    rig: str
    quantity: str
    unit: str = Field(description="SI unit of min, mean and max")
    step_s: float
    start_unix_s: list[float] = Field(description="start of each step")
    count: list[int] = Field(description="samples with a known value")
    rows: list[int] = Field(description="samples on record, known or not")
    min: list[float | None]
    mean: list[float | None]
    max: list[float | None]
    gaps_unix_s: list[tuple[float, float]] = Field(description="spans without any sample on record")
    complete_to_unix_s: float = Field(description="up to here every settled sample is in")


def series_router(source: SeriesSource) -> APIRouter:
    """Return the routes of the record's series."""
    router = APIRouter(prefix="/api/v1", responses={422: {"model": models.Problem}})

    @router.get("/series", response_model=SeriesOut)
    def series(
        rig: Annotated[str, Query(description="a rig that /api/v1/rigs lists")],
        quantity: Annotated[str, Query(description="InfluxDB field name, such as client_load_n")],
        from_unix_s: Annotated[float, Query(alias="from", description="Unix seconds, UTC")],
        to_unix_s: Annotated[float, Query(alias="to", description="Unix seconds, UTC")],
        points: Annotated[int, Query(ge=1, le=MAX_POINTS, description="steps at most")] = 1000,
    ) -> Any:
        """Return least, mean and greatest of a quantity in steps that cover the span; at any zoom."""
        try:
            found = source.series(rig, quantity, round(from_unix_s * 1e6), round(to_unix_s * 1e6), points)
        except SeriesError as error:
            raise ProblemError(422, expected=error.expected, came=error.came, do=error.do) from error
        return _answer(found, rig, quantity)

    @router.get("/series/quantities", response_model=list[str])
    def quantities(rig: Annotated[str, Query(description="a rig that /api/v1/rigs lists")]) -> Any:
        """List the quantities there are series of."""
        return source.quantities(rig)

    return router


def _answer(found: Any, rig: str, quantity: str) -> SeriesOut:
    return SeriesOut(
        rig=rig,
        quantity=quantity,
        unit="N",
        step_s=found.step_us / 1e6,
        start_unix_s=(found.start_us / 1e6).tolist(),
        count=found.count.tolist(),
        rows=found.rows.tolist(),
        min=_nullable(found.min_n),
        mean=_nullable(found.mean_n),
        max=_nullable(found.max_n),
        gaps_unix_s=[(first / 1e6, last / 1e6) for first, last in found.gaps_us()],
        complete_to_unix_s=found.complete_to_us / 1e6,
    )


def _nullable(values: NDArray[Any]) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 (nan alone)
