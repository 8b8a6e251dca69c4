// The service worker: it keeps the page, so that it opens without the server too. The server comes first, so that a new
// version replaces the old one.

const CACHE = "gradprox";
const FILES = [
  "./",
  ...["style.css", "icon.svg", "app.mjs", "settings.mjs", "kernels.mjs", "camera.mjs", "worker.mjs", "restore.mjs", "pixels.mjs", "tiles.mjs"],
  ...["gray-fast", "color-fast", "gray-fast-deblur", "color-fast-deblur"].map(
    (name) => `models/${name}.onnx`,
  ),
  ...["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"].map((name) => `runtime/${name}`),
];

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)));
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok && request.method === "GET") await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(request);
    if (!kept) throw error;
    return kept;
  }
}
