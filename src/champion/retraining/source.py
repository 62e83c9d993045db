"""The files in data/source/ as they are now, for a working tree that git has filled."""

import shutil
from pathlib import Path

from champion.core.errors import UserError
from champion.core.layout import SOURCE
from champion.repository import git
from champion.repository.process import dvc, run


def copy_source(root: Path, work: Path) -> None:
    """Copy every file of the repository's data/source/ to the working tree, and give DVC those that git does not have.

    So the commit of the working tree names the data as it is now, even if nobody has committed that. Raises `UserError`
    when git has a symbolic link there: the commit would have the place of the data, or all of it in git.
    """
    tracked = set(git.answer(work, "ls-files", "-z", "--", str(SOURCE)).decode().split("\0")) - {""}
    for link in sorted(tracked):
        if (work / link).is_symlink():
            raise UserError(
                f"{link} is a symbolic link in git, so a commit does not have its data. Replace it by the data, give "
                "that to DVC (`dvc add`), and commit."
            )
    for file in sorted(path for path in (root / SOURCE).rglob("*") if path.is_file()):
        name = file.relative_to(root)
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        # It may be a link to DVC's cache, whose file must stay as it is.
        (work / name).unlink(missing_ok=True)
        shutil.copy2(file, work / name)
        is_data = name.name != ".gitignore" and name.suffix != ".dvc"
        if is_data and str(name) not in tracked:
            run([dvc(), "add", "--quiet", str(name)], work)
