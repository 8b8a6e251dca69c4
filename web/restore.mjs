// Restore images with the exported models: the same computation as in Python, tile by tile.

import * as ort from "./runtime/ort.wasm.bundle.min.mjs";
import { lightPerDisplay, toDisplay, toLight } from "./camera.mjs";
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

// The 8-bit values of an image on the scale from 0 to 1, as stored and as light.
const STORED = Float32Array.from({ length: 256 }, (_, value) => value / 255);
const LIGHT = STORED.map(toLight);

// The default of the input "clipping", a boolean false, as the files hold it: a TensorProto of ONNX. onnxruntime-web cannot
// set inputs that have a default, so the default itself is changed. Files without this input stay as they are.
const CLIPPING = [0x10, 9, 0x2a, 1, 0, 0x42, 8, ...new TextEncoder().encode("clipping")];
const DEFAULT = CLIPPING.indexOf(0);

/** Take white and black pixels as clipped, in a file with the input for that. */
export function setClipping(content) {
  const first = content.findIndex((_, i) => CLIPPING.every((byte, j) => content[i + j] === byte));
  if (first >= 0) content[first + DEFAULT] = 1;
}

/** Return the model of a file in `models`, loaded once; deblurring may take white and black pixels as clipped. */
async function model(name, clipping = false) {
  const key = `${name} ${clipping}`;
  if (!sessions.has(key)) {
    const response = await fetch(new URL(`./models/${name}.onnx`, import.meta.url));
    if (!response.ok) throw new Error(`The model ${name} could not be loaded.`);
    const content = new Uint8Array(await response.arrayBuffer());
    if (clipping) setClipping(content);
    sessions.set(key, await ort.InferenceSession.create(content, { logSeverityLevel: 3 }));
  }
  return sessions.get(key);
}

const scalar = (value) => new ort.Tensor("float32", [value], [1]);

/** Return the task of one pass of a denoiser: the end of its file's name, its tiles and its inputs besides the image. */
function denoising({ noise, strength }) {
  return { file: "", ...DENOISE, inputs: { sigma: scalar(noise * strength) } };
}

/** Return a noise level of stored values as that of light, by the slope of the curve at the pixels of an image. */
function inLight(noise, { data }) {
  const squares = STORED.map((value) => lightPerDisplay(value) ** 2);
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) sum += squares[data[i]] + squares[data[i + 1]] + squares[data[i + 2]];
  return noise * Math.sqrt(sum / (0.75 * data.length));
}

/** Return the task of the preset of deblurring. Throws an Error if the kernel is larger than the image. */
function deblurring({ noise, strength, kernel, light }, image) {
  const { height, width, weights } = kernel;
  if (height > image.height || width > image.width) throw new Error("The blur is larger than this photo.");
  const inputs = {
    kernel: new ort.Tensor("float32", weights, [1, 1, height, width]),
    noise: scalar(light ? inLight(noise, image) : noise),
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
 * @param {{noise: number, strength: number, kernel?: object, clipping?: boolean, light?: boolean}} settings - the
 *   standard deviation of the noise of the stored values, where white is 1, and how much more (above 1) or less the image
 *   is smoothed; with a kernel, as kernels.mjs returns it, to deblur: whether white and black pixels may have been
 *   clipped, and whether to convert the stored values to light first, and the result back
 * @yields {{window, samples: Float32Array, channels: number, share: number}} a restored window, as `put` takes it, and
 *   the share of the work that is done
 */
export async function* restore(image, settings) {
  const channels = isGray(image) ? 1 : 3;
  const task = settings.kernel ? deblurring(settings, image) : denoising(settings);
  const session = await model(`${channels === 1 ? "gray" : "color"}-fast${task.file}`, settings.clipping);
  const tiles = windows(image.height, image.width, task.side, task.halo);
  for (const [index, window] of tiles.entries()) {
    const shape = [1, channels, window.rows.size, window.columns.size];
    const y = new ort.Tensor("float32", samplesOf(image, window, channels, settings.light ? LIGHT : STORED), shape);
    const { x } = await session.run({ y, ...task.inputs });
    yield { window, samples: settings.light ? x.data.map(toDisplay) : x.data, channels, share: (index + 1) / tiles.length };
  }
}
