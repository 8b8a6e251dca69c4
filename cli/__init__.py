"""The ``gradprox`` command: one file per subcommand.

Begin with `app`, which lists the subcommands, then read the file with the name of a subcommand. These files serve
several of them:

* `options` and `groups`: shared options and how their values are read;
* `model_choice` and `paths`: which model runs, which files are read and written;
* `restoration`: restore one file; `jobs` and `workers`: many files, in one or several processes;
* `scores`: degrade, restore and compare the images of a folder; `terminal`: console and progress bar.
"""
