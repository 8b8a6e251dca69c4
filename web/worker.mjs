// Restore files outside the thread of the page, so that the page stays responsive. Ending the worker cancels the work.

import { isCameraPhoto } from "./camera.mjs";
import { decode, encode, put } from "./pixels.mjs";
import { restore } from "./restore.mjs";

// A message { file, settings } is answered by messages { share } and, at the end, { result, light } (a PNG,
// and whether it was restored in linear light) or { error }.
self.onmessage = async ({ data: { file, settings } }) => {
  try {
    const image = await decode(file);
    const light = settings.light === "always" || (settings.light === "camera" && isCameraPhoto(await file.arrayBuffer()));
    const restored = { ...image, data: image.data.slice() };
    for await (const { window, samples, channels, share } of restore(image, { ...settings, light })) {
      put(restored, window, samples, channels);
      self.postMessage({ share });
    }
    self.postMessage({ result: await encode(restored), light });
  } catch (error) {
    const outOfMemory = error instanceof RangeError || /memory|bad_alloc/i.test(error.message);
    self.postMessage({ error: outOfMemory ? "There is not enough memory for this image." : error.message });
  }
};
