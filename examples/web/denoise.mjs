// Denoise an image with onnxruntime-web (WebAssembly), under Node or, with fetch in place of readFile, in a browser.
//
//   npm install
//   node denoise.mjs denoiser.onnx noisy.f32 clean.f32 HEIGHT WIDTH NOISE
//
// Images are raw little-endian float32 samples on the scale [0, 1], row by row, one channel after the other, as numpy's
// `array.astype("<f4").tofile(path)` writes an array of shape (C, H, W).

import { readFile, rename, writeFile } from "node:fs/promises";
import { argv, exit } from "node:process";
import * as ort from "onnxruntime-web";

const [model, source, target, height, width, noise] = argv.slice(2);
if (!noise) {
  console.error("usage: node denoise.mjs denoiser.onnx noisy.f32 clean.f32 HEIGHT WIDTH NOISE");
  exit(2);
}

// With one thread, no worker files and no special headers are needed.
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(new Uint8Array(await readFile(model)));

const bytes = await readFile(source);
const samples = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const [rows, columns] = [Number(height), Number(width)];
const channels = samples.length / (rows * columns);
const perImage = session.inputMetadata?.[0]?.shape?.[1] ?? 1;
if (!Number.isInteger(channels) || channels % perImage !== 0) {
  console.error(`error: ${source} holds ${samples.length} samples: not a multiple of ${perImage} channels of ${rows}x${columns}`);
  exit(1);
}

// A gray model takes the channels as a batch of gray images; a color model takes three channels together.
const y = new ort.Tensor("float32", samples, [channels / perImage, perImage, rows, columns]);
const sigma = new ort.Tensor("float32", Float32Array.of(Number(noise)), [1]);
const { x } = await session.run({ y, sigma });
await writeFile(`${target}.part`, new Uint8Array(x.data.buffer, x.data.byteOffset, x.data.byteLength));
await rename(`${target}.part`, target);
