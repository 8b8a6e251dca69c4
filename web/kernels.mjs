// Blur kernels, as `{ height, width, weights }` with weights of sum 1, row by row: those of `gradprox kernel`.

// Pixels per side of the largest kernel.
export const LARGEST = 101;

/** Return a kernel of the weights of a function of the row and the column, which count from the middle. */
function kernel(half, weight) {
  const size = 2 * half + 1;
  return normalized(size, size, (row, column) => weight(row - half, column - half));
}

function normalized(height, width, weight) {
  const weights = Array.from({ length: height * width }, (_, i) => weight(Math.floor(i / width), i % width));
  const sum = weights.reduce((total, value) => total + value, 0);
  return { height, width, weights: weights.map((value) => value / sum) };
}

/** A Gaussian with a standard deviation of `sigma` pixels, cut at four of them. */
export function gaussian(sigma) {
  return kernel(Math.ceil(4 * sigma), (down, right) => Math.exp(-(down ** 2 + right ** 2) / (2 * sigma ** 2)));
}

/** A straight motion of `length` pixels at `angle` degrees, counter-clockwise from the right. */
export function motion(length, angle) {
  const half = Math.max(0, (length - 1) / 2);
  const [cosine, sine] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
  return kernel(Math.ceil(half), (down, right) => {
    const along = Math.min(Math.max(right * cosine - down * sine, -half), half);
    return Math.max(0, 1 - Math.hypot(right - along * cosine, -down - along * sine));
  });
}

/** A disk, the blur of a lens out of focus; a pixel counts by the share of its 16 × 16 points inside. */
export function disk(radius) {
  const points = 16;
  const offsets = Array.from({ length: points }, (_, i) => (i + 0.5) / points - 0.5);
  const limit = Math.max(radius, 0.5) ** 2;
  return kernel(Math.ceil(radius), (down, right) => {
    let inside = 0;
    for (const y of offsets) for (const x of offsets) inside += (down + y) ** 2 + (right + x) ** 2 <= limit;
    return inside;
  });
}

/** A kernel drawn as an image `{ width, height, data }`. Throws an Error that says why it is none. */
export function fromImage({ width, height, data }) {
  if (Math.max(width, height) > LARGEST) {
    throw new Error(`This kernel has ${width} × ${height} pixels. The largest has ${LARGEST} × ${LARGEST}.`);
  }
  // Luma of ITU-R 601, rounded as image files store it.
  const gray = (i) => Math.round(0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2]);
  const found = normalized(height, width, (row, column) => gray(row * width + column));
  if (found.weights.some(Number.isNaN)) throw new Error("This kernel is black everywhere.");
  return found;
}

/** Draw a kernel on a canvas, its largest weight white. */
export function draw(canvas, { height, width, weights }) {
  const most = Math.max(...weights);
  const data = Uint8ClampedArray.from(weights.flatMap((value) => [...Array(3).fill((255 * value) / most), 255]));
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
}
