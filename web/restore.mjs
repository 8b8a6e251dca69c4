// Restore images with the exported models: the same computation as in Python, tile by tile.

import * as ort from "./runtime/ort.wasm.bundle.min.mjs";
import { isGray, samplesOf } from "./pixels.mjs";
import { windows } from "./tiles.mjs";

// Threads share memory, which a browser allows in isolated pages only. More than eight gain nothing on small tiles.
ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 1;

// Side of the tiles of one pass of a model, and the largest halo of the models (the metadata of their files state it).
export const DENOISE = { side: 384, halo: 23 };
// Deblurring is not local, but distant pixels hardly matter: 16 pixels and one and a half kernels are read beyond the kept
// ones. With 48 pixels and a motion of 15, tiles lost 0.01 dB against the whole image.
export const DEBLUR = { side: 512, halo: (kernel) => Math.min(16 + Math.ceil(1.5 * kernel), 128) };
// The planned steps of the preset after its warm start, and its tolerance (the metadata of the files state them).
export const PRESET = { max_iter: 2, tol: 3e-4 };

const sessions = new Map();

/** Return the model of a file in `models`, loaded once. */
async function model(name) {
  if (!sessions.has(name)) {
    const response = await fetch(new URL(`./models/${name}.onnx`, import.meta.url));
    if (!response.ok) throw new Error(`The model ${name} could not be loaded.`);
    const content = new Uint8Array(await response.arrayBuffer());
    sessions.set(name, await ort.InferenceSession.create(content, { logSeverityLevel: 3 }));
  }
  return sessions.get(name);
}

const scalar = (value) => new ort.Tensor("float32", [value], [1]);

/** Return the task of one pass of a denoiser: the end of its file's name, its tiles and its inputs besides the image. */
function denoising({ noise, strength }) {
  return { file: "", ...DENOISE, inputs: { sigma: scalar(noise * strength) } };
}

/** Return the task of the preset of deblurring. Throws an Error if the kernel is larger than the image. */
function deblurring({ noise, strength, kernel }, image) {
  const { height, width, weights } = kernel;
  if (height > image.height || width > image.width) throw new Error("The blur is larger than this photo.");
  const inputs = {
    kernel: new ort.Tensor("float32", weights, [1, 1, height, width]),
    noise: scalar(noise),
    strength: scalar(strength),
    tol: scalar(PRESET.tol),
    max_iter: new ort.Tensor("int64", [PRESET.max_iter], []),
  };
  return { file: "-deblur", side: DEBLUR.side, halo: DEBLUR.halo(Math.max(height, width)), inputs };
}

/**
 * Restore an image.
 *
 * @param {{width: number, height: number, data: Uint8ClampedArray}} image
 * @param {{noise: number, strength: number, kernel?: object}} settings - the standard deviation of the noise, where white is 1, and how
 *   much more (above 1) or less the image is smoothed; with a kernel, as kernels.mjs returns it, to deblur
 * @yields {{window, samples: Float32Array, channels: number, share: number}} a restored window, as `put` takes it, and
 *   the share of the work that is done
 */
export async function* restore(image, settings) {
  const channels = isGray(image) ? 1 : 3;
  const task = settings.kernel ? deblurring(settings, image) : denoising(settings);
  const session = await model(`${channels === 1 ? "gray" : "color"}-fast${task.file}`);
  const tiles = windows(image.height, image.width, task.side, task.halo);
  for (const [index, window] of tiles.entries()) {
    const shape = [1, channels, window.rows.size, window.columns.size];
    const y = new ort.Tensor("float32", samplesOf(image, window, channels), shape);
    const { x } = await session.run({ y, ...task.inputs });
    yield { window, samples: x.data, channels, share: (index + 1) / tiles.length };
  }
}
