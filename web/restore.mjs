// Restore images with the exported models: the same computation as in Python, tile by tile.

import * as ort from "./runtime/ort.wasm.bundle.min.mjs";
import { isGray, samplesOf } from "./pixels.mjs";
import { windows } from "./tiles.mjs";

// Threads share memory, which a browser allows in isolated pages only. More than eight gain nothing on small tiles.
ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 1;

// Side of the tiles of one pass of a model, and the largest halo of the models (the metadata of their files state it).
export const DENOISE = { side: 384, halo: 23 };

const sessions = new Map();

/** Return the model of a file in `models`, loaded once. */
async function model(name) {
  if (!sessions.has(name)) {
    const response = await fetch(new URL(`./models/${name}.onnx`, import.meta.url));
    if (!response.ok) throw new Error(`The model ${name} could not be loaded.`);
    const content = new Uint8Array(await response.arrayBuffer());
    sessions.set(name, await ort.InferenceSession.create(content));
  }
  return sessions.get(name);
}

const scalar = (value) => new ort.Tensor("float32", [value], [1]);

/**
 * Restore an image.
 *
 * @param {{width: number, height: number, data: Uint8ClampedArray}} image
 * @param {{noise: number, strength: number}} settings - the standard deviation of the noise, where white is 1, and how
 *   much more (above 1) or less the image is smoothed
 * @yields {{window, samples: Float32Array, channels: number, share: number}} a restored window, as `put` takes it, and
 *   the share of the work that is done
 */
export async function* restore(image, settings) {
  const channels = isGray(image) ? 1 : 3;
  const session = await model(`denoise-${channels === 1 ? "gray" : "color"}-fast`);
  const tiles = windows(image.height, image.width, DENOISE.side, DENOISE.halo);
  const sigma = scalar(settings.noise * settings.strength);
  for (const [index, window] of tiles.entries()) {
    const shape = [1, channels, window.rows.size, window.columns.size];
    const { x } = await session.run({ y: new ort.Tensor("float32", samplesOf(image, window, channels), shape), sigma });
    yield { window, samples: x.data, channels, share: (index + 1) / tiles.length };
    x.dispose();
  }
}
