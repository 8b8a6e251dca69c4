// Images as arrays: `{ width, height, data }`, where data holds red, green, blue and alpha of each pixel, 8 bits each.

/** Decode an image file, turned upright, in sRGB. Throws an Error that says what is wrong. */
export async function decode(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image", premultiplyAlpha: "none" });
  } catch {
    throw new Error("This is not an image that the browser can open. Choose a PNG, JPEG or WebP file.");
  }
  const { width, height } = bitmap;
  try {
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    return { width, height, data };
  } catch {
    throw new Error(`This image of ${width} × ${height} pixels is too large for the browser.`);
  } finally {
    bitmap.close();
  }
}

/** Encode an image as PNG; returns a Blob. */
export async function encode({ width, height, data }) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

/** Return whether every pixel of an image is gray. */
export function isGray({ data }) {
  for (let i = 0; i < data.length; i += 4) {
    if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false;
  }
  return true;
}

/** Return the samples of a window of an image, by a table of the 256 values: one channel after the other, row by row. */
export function samplesOf({ width, data }, { rows, columns }, channels, values) {
  const samples = new Float32Array(channels * rows.size * columns.size);
  let at = 0;
  for (let channel = 0; channel < channels; channel++) {
    for (let row = rows.first; row < rows.first + rows.size; row++) {
      const begin = 4 * (row * width + columns.first) + channel;
      for (let i = begin; i < begin + 4 * columns.size; i += 4) samples[at++] = values[data[i]];
    }
  }
  return samples;
}

/** Write the kept part of a window's samples into an image, rounded to 8 bits. Alpha stays. */
export function put({ width, data }, { rows, columns }, samples, channels) {
  for (let row = rows.start; row < rows.stop; row++) {
    for (let column = columns.start; column < columns.stop; column++) {
      const pixel = 4 * (row * width + column);
      const inside = (row - rows.first) * columns.size + column - columns.first;
      for (let channel = 0; channel < 3; channel++) {
        const plane = channels === 1 ? 0 : channel * rows.size * columns.size;
        data[pixel + channel] = 255 * samples[plane + inside]; // a clamped array rounds and clips
      }
    }
  }
}
