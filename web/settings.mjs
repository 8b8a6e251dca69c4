// The settings of the form, as the worker takes them.

const element = (id) => document.getElementById(id);
const number = (id) => Number(element(id).value);

// How the value of each slider is shown.
const SHOWN = {
  noise: (value) => `${value} of 255`,
  strength: (value) => `× ${value.toFixed(2)}`,
};

/** Return the settings: noise where white is 1, and strength. */
export function settings() {
  return { noise: number("noise") / 255, strength: number("strength") };
}

/** Show the values of the sliders now and at each change, and then call `changed`. */
export function watchSettings(changed) {
  const refresh = () => {
    for (const output of document.querySelectorAll("#settings output")) {
      const id = output.htmlFor.value;
      output.value = SHOWN[id](number(id));
    }
    changed();
  };
  element("settings").addEventListener("input", refresh);
  refresh();
}
