// Pictures out of the blocks at the end of the file, when they are first looked at.

const addresses = new Map(); // block id -> blob address
const waiting = new Map(); // block id -> the images that want it and are not read yet

function address(id) {
  if (!addresses.has(id)) {
    const block = element(id);
    // The parser writes the next node once this one is whole.
    if (!block || (!block.nextSibling && document.readyState === "loading")) return null;
    const bytes = Uint8Array.from(atob(block.textContent), (char) => char.charCodeAt(0));
    addresses.set(id, URL.createObjectURL(new Blob([bytes], { type: "image/webp" })));
    block.remove();
  }
  return addresses.get(id);
}

function load(image, id) {
  const found = address(id);
  if (found) image.src = found;
  else waiting.set(id, [...(waiting.get(id) ?? []), image]);
}

function loadWaiting() {
  for (const [id, images] of waiting) {
    if (!address(id)) continue;
    waiting.delete(id);
    for (const image of images) image.src = address(id);
  }
}

if (document.readyState === "loading") {
  const timer = setInterval(loadWaiting, 100);
  addEventListener("DOMContentLoaded", () => {
    clearInterval(timer);
    loadWaiting();
  });
}

function picture(photo, name) {
  const image = new Image();
  image.decoding = "async";
  image.alt = name === "crop" ? `100 % crop of ${photo.name}` : described(photo);
  return image;
}

function described(photo) {
  const best = photo.best ? `, best of ${photo.best}` : "";
  return `${photo.name}, ${scoreText(photo)}, ${wordOf(photo)}${best}`;
}

function scoreText(photo) {
  if (photo.score === null) return "not judged";
  return `score ${photo.score.toFixed(1)}${doubtText(photo)}`;
}

function doubtText(photo) {
  return photo.doubt === null ? "" : ` ± ${photo.doubt.toFixed(1)}`;
}
