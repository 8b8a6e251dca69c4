// Photos of a camera: the curve by which they store light (IEC 61966-2-1, as in gradprox/images/srgb.py), and whether a
// file is one. Color profiles need no look here: the browser has converted the pixels to sRGB, whose curve this is.

const KNEE = { display: 0.04045, light: 0.0031308 };

/** Return the linear light of an sRGB value on the scale from 0 to 1. */
export const toLight = (display) => (display <= KNEE.display ? display / 12.92 : ((display + 0.055) / 1.055) ** 2.4);

/** Return the sRGB value of linear light, the inverse of `toLight`, extended as an odd function. */
export function toDisplay(light) {
  const size = Math.abs(light);
  return Math.sign(light) * (size <= KNEE.light ? 12.92 * size : 1.055 * size ** (1 / 2.4) - 0.055);
}

/** Return the slope of `toLight`: how much small changes of stored values change the light. */
export const lightPerDisplay = (display) =>
  display <= KNEE.display ? 1 / 12.92 : (2.4 / 1.055) * ((display + 0.055) / 1.055) ** 1.4;

/**
 * Return whether a file is a photo of a camera: whether its Exif data state a positive exposure time or f-number.
 *
 * @param {ArrayBuffer} content - of a JPEG, PNG or WebP file; damaged data and other formats state nothing
 */
export function isCameraPhoto(content) {
  try {
    const exif = exifOf(new DataView(content));
    return exif !== null && statesExposure(exif);
  } catch (error) {
    if (error instanceof RangeError) return false; // a length or an offset points beyond the data
    throw error;
  }
}

// Four characters as a number.
const code = (text) => [...text].reduce((number, character) => 256 * number + character.charCodeAt(0), 0);

/** Return the Exif data of a file, or null. Each step goes on by at least a byte, so damaged lengths end, too. */
function exifOf(file) {
  const part = (first, size) => new DataView(file.buffer, first, size);
  if (file.getUint16(0) === 0xffd8) {
    // JPEG: segments of a marker, a size that counts itself, and content; the pixels follow the marker 0xffda.
    for (let at = 2, marker; (marker = file.getUint16(at)) >= 0xff00 && marker !== 0xffda; ) {
      const size = file.getUint16(at + 2);
      if (marker === 0xffe1 && file.getUint32(at + 4) === code("Exif")) return part(at + 4, size - 2);
      at += marker === 0xffff ? 1 : 2 + size; // 0xff may be repeated before a marker
    }
  } else if (file.getUint32(0) === code("\x89PNG")) {
    for (let at = 8, size; ; at += 12 + size) {
      size = file.getUint32(at);
      if (file.getUint32(at + 4) === code("eXIf")) return part(at + 8, size);
    }
  } else if (file.getUint32(0) === code("RIFF") && file.getUint32(8) === code("WEBP")) {
    for (let at = 12, size; ; at += 8 + size + (size % 2)) {
      size = file.getUint32(at + 4, true);
      if (file.getUint32(at) === code("EXIF")) return part(at + 8, size);
    }
  }
  return null;
}

// Tags, and the type of a fraction of two numbers, which both exposures have (Exif 2.32).
const [EXIF_DIRECTORY, EXPOSURE_TIME, F_NUMBER, RATIONAL] = [0x8769, 0x829a, 0x829d, 5];

function statesExposure(exif) {
  const start = exif.getUint32(0) === code("Exif") ? 6 : 0; // JPEG files, and some others, have a mark first
  const little = exif.getUint16(start) === 0x4949;
  const short = (at) => exif.getUint16(start + at, little);
  const long = (at) => exif.getUint32(start + at, little);
  /** Return the offset of the entry of a tag in a directory: its type is at 2, its value or that one's offset at 8. */
  const entry = (directory, tag) => {
    const entries = Array.from({ length: short(directory) }, (_, index) => directory + 2 + 12 * index);
    return entries.find((at) => short(at) === tag);
  };
  const settings = entry(long(4), EXIF_DIRECTORY);
  if (settings === undefined) return false;
  return [EXPOSURE_TIME, F_NUMBER].some((tag) => {
    const at = entry(long(settings + 8), tag);
    if (at === undefined || short(at + 2) !== RATIONAL) return false;
    return long(long(at + 8)) > 0 && long(long(at + 8) + 4) > 0;
  });
}
