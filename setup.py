"""What pyproject.toml cannot say: the configurations are installed inside the package lossmith."""

from pathlib import Path

from setuptools import find_packages, setup

_FOLDERS = sorted({path.parent for path in Path("configs").rglob("*.yaml")})
_CONFIGS = {".".join(("lossmith", *folder.parts)): folder.as_posix() for folder in _FOLDERS}

setup(
    packages=[*find_packages(include=["lightning_modules*", "datamodules*", "callbacks*", "lossmith*"]), *_CONFIGS],
    package_dir=_CONFIGS,
    package_data={
        "": ["py.typed", "*.yaml"],
        "lightning_modules.cli": ["option_table.json"],
        "lightning_modules.report": ["page.css"],
    },
)
