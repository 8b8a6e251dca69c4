"""The ``gradprox-runtime`` command: restorations by exported models, without torch.

Begin with `app`, which lists the subcommands. They share the options, the batches and the messages of `gradprox.cli`.
`models` loads the models that come with the command, those of `gradprox.exported_models`.
"""
