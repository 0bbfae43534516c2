"""The shipped judges, a module a kind; each module of this folder is imported, which registers what it holds."""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
