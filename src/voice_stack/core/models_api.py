"""OpenAI's model objects, served alike by both services."""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from voice_stack.core.errors import ModelNotFoundError, quoted


class Model(BaseModel):
    """One model; ``created`` is in Unix seconds."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "voice-stack"


class ModelList(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[Model]


def models_router(list_models: Callable[[Request], Sequence[Model]]) -> APIRouter:
    """Routes ``GET /models`` and ``GET /models/{id}`` over the models that ``list_models`` names."""
    router = APIRouter(tags=["models"])
    Models = Annotated[Sequence[Model], Depends(list_models)]  # noqa: N806 - a type

    @router.get("/models", summary="The models and model names that this service answers to")
    def every(models: Models) -> ModelList:
        return ModelList(data=list(models))

    @router.get("/models/{model_id:path}", summary="One of them")
    def one(model_id: str, models: Models) -> Model:
        for model in models:
            if model.id == model_id:
                return model
        raise model_not_found(model_id, [model.id for model in models])

    return router


def model_not_found(name: str, known: Sequence[str]) -> ModelNotFoundError:
    """The error for a model name that is none of ``known``."""
    return ModelNotFoundError(
        f"There is no model {quoted(name)} here; this service has: {', '.join(known)}.", param="model"
    )
