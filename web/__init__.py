"""The page that denoises and deblurs photos in a browser; `gradprox web` serves it.

The page is static, and no photo leaves the browser. Begin with ``index.html`` and ``app.mjs``, the controls. They send
files to ``worker.mjs``, which decodes them (``pixels.mjs``) and restores them (``restore.mjs``) tile by tile
(``tiles.mjs``), with `gradprox.exported_models` and onnxruntime-web. ``offline.mjs`` keeps the page for use
without the server. `server` serves all of it with the headers that threads need.
"""
