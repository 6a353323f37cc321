import sys
from pathlib import Path

import pytest

from tests.utils.models.planting import Planted, plant_model


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that Python finds packages in."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return folder


@pytest.fixture
def planted(site: Path) -> Planted:
    """A model in two freshly installed packages."""
    return plant_model(site)
