// One photo, large, with all that is known of it.

const loupe = element("loupe");
let large = null; // the photo in it, until it is closed and the focus is back

function openLoupe(photo) {
  mark(photo);
  const fresh = !loupe.open;
  if (fresh) loupe.showModal();
  fillLoupe();
  if (fresh) element("loupe-name").focus(); // its name is what a screen reader says first
}

function fillLoupe() {
  const photo = current;
  large = photo;
  loupe.setAttribute("aria-label", `Photo ${photo.name}`);
  element("loupe-name").textContent = photo.name;
  loupe.querySelector(".folder").textContent = photo.folder;
  loupe.querySelector(".score").textContent = photo.score === null ? "–" : photo.score.toFixed(1);
  loupe.querySelector(".doubt").textContent = doubtText(photo);
  loupe.querySelector(".best").hidden = !photo.best;
  loupe.querySelector(".best span").textContent = `Best of ${photo.best}`;
  for (const button of loupe.querySelectorAll(".verdicts button")) {
    button.setAttribute("aria-pressed", button.dataset.verdict === photo.decision);
    button.disabled = button.dataset.verdict === "reject" && !photo.held;
  }
  showPicture(photo, "thumb", loupe.querySelector(".whole"));
  showPicture(photo, "crop", loupe.querySelector(".crop div"));
  loupe.querySelector(".crop").hidden = !photo.crop;
  loupe.querySelector("dl").replaceChildren(...facts(photo).map(fact));
  const frames = loupe.querySelector(".strip");
  const focused = frames.contains(document.activeElement);
  frames.replaceChildren(...strip(photo));
  const now = frames.querySelector("[aria-current]");
  if (now) frames.scrollLeft = now.offsetLeft - (frames.clientWidth - now.offsetWidth) / 2;
  if (focused) now?.focus({ preventScroll: true });
  loupe.querySelector(".sums").textContent = sums();
  element("before").disabled = !beside(photo, -1);
  element("after").disabled = !beside(photo, 1);
}

function showPicture(photo, name, frame) {
  if (frame.dataset.of === `${photo.number}`) {
    const image = frame.querySelector("img");
    if (image && name === "thumb") image.alt = described(photo);
    return;
  }
  frame.dataset.of = photo.number;
  if (!photo[name]) return frame.replaceChildren(made("p", "none", photo.error ?? "no picture"));
  const image = picture(photo, name);
  load(image, `${name}-${photo.number}`);
  frame.replaceChildren(image);
}

function facts(photo) {
  const stars = photo.stars > 0 ? "★".repeat(photo.stars) : photo.stars < 0 ? "rejected" : "";
  const flag = photo.pick > 0 ? "picked" : photo.pick < 0 ? "rejected" : "";
  return [
    ["Why", reasons(photo).join("; ")],
    ["Issues", photo.issues.map((issue) => issue.text).join(", ")],
    ["Parts", photo.parts.join(", ")],
    ["Not read", photo.error],
    ["Your rating", [stars, flag].filter(Boolean).join(", ")],
    ["Taken", photo.taken],
    ["Camera", photo.camera],
    ["Size", photo.size],
    ["With it", photo.files.join(", ")],
  ].filter(([, value]) => value);
}

function fact([name, value]) {
  const node = made("div");
  node.append(made("dt", "muted", name), made("dd", "", value));
  return node;
}

function strip(photo) {
  const own = photo.unit.photos;
  if (own.length < 2) return [];
  return own.map((each) => {
    const button = made("button", `frame ${each.decision}`);
    button.type = "button";
    button.dataset.number = each.number;
    button.setAttribute("aria-label", described(each));
    if (each === photo) button.setAttribute("aria-current", "true");
    if (each.thumb) {
      const image = picture(each, "thumb");
      image.alt = "";
      image.style.aspectRatio = photo.width / photo.height; // it takes its room before it is read
      load(image, `thumb-${each.number}`);
      button.append(image);
    }
    const best = each.best ? " best" : "";
    button.append(made("span", "", `${SIGNS[each.decision]} ${each.score?.toFixed(1) ?? "–"}${best}`));
    return button;
  });
}

loupe.addEventListener("click", (event) => {
  const { target } = event;
  const frame = target.closest("[data-number]");
  const verdict = target.closest(".verdicts button");
  if (frame) go(photos[frame.dataset.number]);
  else if (verdict) decide(current, verdict.dataset.verdict);
  else if (target === loupe) loupe.close(); // beside it
});
// By itself it gives the focus back to where it came from, which may be another photo.
loupe.addEventListener("close", () => {
  large = null;
  go(current);
});
element("before").addEventListener("click", () => step(-1));
element("after").addEventListener("click", () => step(1));
for (const button of document.querySelectorAll("dialog .shut")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
