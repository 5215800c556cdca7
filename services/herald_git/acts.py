"""The methods of io.herald.Git."""

from herald_git.fetch import FETCH
from herald_git.push import PUSH
from herald_git.submodule import FETCH_SUBMODULE
from herald_git.submodule_push import CHECK_SUBMODULE

METHODS = {"CheckSubmodule": CHECK_SUBMODULE, "Fetch": FETCH, "FetchSubmodule": FETCH_SUBMODULE, "Push": PUSH}
