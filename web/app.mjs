// The controls of the page: the list of photos, the settings, and the worker that restores one photo after the other.

import { settings, watchSettings } from "./settings.mjs";

const element = (id) => document.getElementById(id);
const UNREADABLE = "This is not an image that the browser can open. Choose a PNG, JPEG or WebP file.";

// A photo: { file, url, row, error, result, madeWith }. `url` shows the file, `result` the restored PNG.
const photos = [];
let shown = null;
let worker = null; // while photos are restored, or after that
let busy = false;

function add(files) {
  for (const file of files) {
    const photo = { file, url: URL.createObjectURL(file), row: null, error: "", result: "", madeWith: "" };
    photo.row = rowOf(photo);
    photos.push(photo);
    element("list").append(photo.row);
  }
  if (files.length) show(photos.at(-files.length));
  element("status").textContent = "";
}

function remove(photo) {
  for (const url of [photo.url, photo.result]) if (url) URL.revokeObjectURL(url);
  photos.splice(photos.indexOf(photo), 1);
  photo.row.remove();
  if (shown === photo) show(photos[0] ?? null);
  refresh();
}

/** Return the entry of a photo in the list. */
function rowOf(photo) {
  const row = element("row").content.firstElementChild.cloneNode(true);
  const [choose, drop] = row.querySelectorAll("button");
  const image = row.querySelector("img");
  image.src = photo.url;
  image.onerror = () => fail(photo, UNREADABLE);
  row.querySelector(".name").textContent = photo.file.name;
  choose.onclick = () => show(photo);
  drop.onclick = () => remove(photo);
  drop.ariaLabel = `Remove ${photo.file.name}`;
  return row;
}

function fail(photo, message) {
  photo.error = message;
  photo.row.querySelector("img").hidden = true;
  note(photo, message);
  if (shown === photo) show(photo);
  refresh();
}

/** Write a remark to the entry of a photo. */
function note(photo, text) {
  photo.row.querySelector(".note").textContent = text;
  photo.row.classList.toggle("failed", Boolean(photo.error));
}

/** Show a photo and its result, or nothing. */
function show(photo) {
  shown = photo;
  for (const { row } of photos) row.classList.toggle("shown", row === photo?.row);
  element("compare").hidden = !photo;
  refresh();
  if (!photo) return;
  element("frame").hidden = Boolean(photo.error);
  element("before").src = photo.error ? "" : photo.url;
  for (const id of ["after", "split", "download"]) element(id).hidden = !photo.result;
  element("after").src = photo.result;
  element("frame").classList.toggle("split", Boolean(photo.result));
  element("caption").textContent = photo.error || photo.file.name;
  element("download").href = photo.result;
  element("download").download = photo.resultName ?? "";
}

/** Return the photos that the current settings have not restored yet. */
function waiting() {
  if (!settings()) return [];
  const wanted = JSON.stringify(settings());
  return photos.filter((photo) => !photo.error && photo.madeWith !== wanted);
}

function refresh() {
  const queue = waiting();
  element("list").hidden = photos.length === 0;
  element("start").disabled = busy || !queue.includes(shown);
  element("all").hidden = busy || photos.length < 2;
  element("all").disabled = queue.length === 0;
  element("all").textContent = `Restore all (${queue.length})`;
  element("cancel").hidden = element("progress").hidden = !busy;
}

/** Restore photos with the current settings, one after the other. */
async function start(queue) {
  busy = true;
  const chosen = settings();
  let done = 0;
  for (const photo of queue) {
    if (!photos.includes(photo)) continue; // removed meanwhile
    refresh();
    const begin = performance.now();
    const which = queue.length > 1 ? `Photo ${queue.indexOf(photo) + 1} of ${queue.length}: ` : "";
    const answer = await restored(photo, chosen, (share) => report(which, share, begin));
    if (answer.cancelled) break;
    if (answer.error) {
      fail(photo, answer.error);
      element("status").textContent = `${photo.file.name}: ${answer.error}`;
      continue;
    }
    if (!photos.includes(photo)) continue;
    if (photo.result) URL.revokeObjectURL(photo.result);
    photo.result = URL.createObjectURL(answer.result);
    photo.resultName = photo.file.name.replace(/\.\w+$/, "") + "-restored.png";
    photo.madeWith = JSON.stringify(chosen);
    note(photo, answer.light ? "restored in linear light" : "restored");
    done += 1;
    if (shown === photo) show(photo);
    const seconds = Math.max(1, Math.round((performance.now() - begin) / 1000));
    element("status").textContent = done > 1 ? `${done} photos are restored.` : `Restored in ${seconds} s.`;
  }
  busy = false;
  refresh();
}

/** Show how much of a photo is restored; the time left is known after the first tile. */
function report(which, share, begin) {
  if (share === 0) {
    element("progress").removeAttribute("value");
    element("status").textContent = `${which}restoring…`;
    return;
  }
  element("progress").value = share;
  const seconds = ((performance.now() - begin) / 1000) * (1 / share - 1);
  const left = seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
  element("status").textContent = `${which}${Math.round(100 * share)} %${share < 1 ? `, ${left} left` : ""}`;
}

/** Restore one photo in the worker, calling `progress` with the share that is done; resolves to `{ result, light }`, `{ error }` or `{ cancelled }`. */
function restored({ file }, chosen, progress) {
  progress(0);
  return new Promise((resolve) => {
    worker ??= new Worker(new URL("./worker.mjs", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => ("share" in data ? progress(data.share) : resolve(data));
    worker.onerror = () => {
      stop();
      resolve({ error: "The browser stopped the computation. There may be too little memory." });
    };
    element("cancel").onclick = () => {
      stop();
      element("status").textContent = "Cancelled.";
      resolve({ cancelled: true });
    };
    worker.postMessage({ file, settings: chosen });
  });
}

/** End the worker and all that it computes; the next photo starts another one. */
function stop() {
  worker?.terminate();
  worker = null;
}

element("settings").onsubmit = (event) => {
  event.preventDefault();
  start([shown]);
};
element("all").onclick = () => start(waiting());
element("files").onchange = ({ target }) => {
  add([...target.files]);
  target.value = ""; // the same file may be chosen again
};
element("split").oninput = ({ target }) => element("frame").style.setProperty("--split", `${target.value}%`);
watchSettings(refresh);

addEventListener("dragover", (event) => {
  event.preventDefault();
  element("drop").classList.add("over");
});
addEventListener("dragleave", () => element("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  element("drop").classList.remove("over");
  add([...event.dataTransfer.files]);
});

const threads = crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 1;
element("threads").textContent = threads > 1 ? `It uses ${threads} threads.` : "It uses one thread.";
navigator.serviceWorker?.register("offline.mjs", { type: "module" }).catch(() => {
  element("offline").textContent = "This browser does not keep the page for use offline.";
});
