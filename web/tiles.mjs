// Cut one axis of an image into the fewest windows, all of one size, of which inner parts are kept.

/**
 * @param {number} length - pixels of the axis
 * @param {number} side - most pixels of a window, more than twice the halo
 * @param {number} halo - how far an input pixel changes the result: so many pixels are read beyond the kept ones, except
 *   at the ends of the axis, where the model itself extends the image
 * @returns {{first: number, size: number, start: number, stop: number}[]} windows that read the pixels from `first` to
 *   `first + size - 1`, and of which those from `start` to `stop - 1` are kept
 */
export function spans(length, side, halo) {
  const count = length <= side ? 1 : Math.ceil((length - 2 * halo) / (side - 2 * halo));
  const size = Math.ceil((length + 2 * halo * (count - 1)) / count);
  const found = [];
  for (let start = 0; start < length; ) {
    const first = Math.min(Math.max(0, start - halo), length - size);
    const stop = first + size === length ? length : first + size - halo;
    found.push({ first, size, start, stop });
    start = stop;
  }
  return found;
}

/** Return the windows of an image, row by row, as `{ rows, columns }`, each a span. */
export function windows(height, width, side, halo) {
  const across = spans(width, side, halo);
  return spans(height, side, halo).flatMap((rows) => across.map((columns) => ({ rows, columns })));
}
