// The settings of the form, as the worker takes them.

import { disk, draw, fromImage, gaussian, motion } from "./kernels.mjs";
import { decode } from "./pixels.mjs";

const element = (id) => document.getElementById(id);
const number = (id) => Number(element(id).value);

// How the value of each slider is shown.
const SHOWN = {
  noise: (value) => `${value} of 255`,
  strength: (value) => `× ${value.toFixed(2)}`,
  radius: (value) => `${value} pixels`,
  sigma: (value) => `${value} pixels`,
  length: (value) => `${value} pixels`,
  angle: (value) => `${value}°`,
};
const KERNELS = {
  disk: () => disk(number("radius")),
  gaussian: () => gaussian(number("sigma")),
  motion: () => motion(number("length"), number("angle")),
  image: () => drawn,
};
// The noise that the slider begins with: photos that need denoising have more.
const noise = { denoise: 15, deblur: 3 };

let drawn = null; // the kernel of an image file
let task = "denoise";

/**
 * Return the settings of the form; null as long as the kernel is to be read from an image, and there is none.
 *
 * @returns {{noise: number, strength: number, kernel?: object, clipping?: boolean, light?: string}} the
 *   noise where white is 1; with a kernel, whether white and black pixels may have been clipped, and which photos are
 *   converted to light: those of a "camera", or "always" or "never"
 */
export function settings() {
  const chosen = { noise: number("noise") / 255, strength: number("strength") };
  if (task === "denoise") return chosen;
  const kernel = KERNELS[element("kind").value]();
  if (!kernel) return null;
  return { ...chosen, kernel, clipping: element("clipping").checked, light: element("light").value };
}

/** Show the values of the form now and at each change, and then call `changed`. */
export function watchSettings(changed) {
  const refresh = () => {
    const { value } = document.querySelector("[name=task]:checked");
    if (value !== task) {
      noise[task] = number("noise");
      task = value;
      element("noise").value = noise[task];
    }
    for (const output of document.querySelectorAll("#settings output")) {
      const id = output.htmlFor.value;
      output.value = SHOWN[id](number(id));
    }
    element("blur").hidden = element("more").hidden = task !== "deblur";
    for (const field of document.querySelectorAll("[data-kind]")) field.hidden = field.dataset.kind !== element("kind").value;
    const { kernel } = settings() ?? {};
    element("drawing").hidden = !kernel;
    if (kernel) {
      draw(element("drawing").firstElementChild, kernel);
      element("size").textContent = `The blur of one point: ${kernel.width} × ${kernel.height} pixels.`;
    }
    changed();
  };
  element("settings").addEventListener("input", refresh);
  element("kernel").onchange = async ({ target }) => {
    drawn = null;
    element("kernel-error").textContent = "";
    try {
      if (target.files.length) drawn = fromImage(await decode(target.files[0]));
    } catch (error) {
      element("kernel-error").textContent = error.message;
    }
    refresh();
  };
  refresh();
}
