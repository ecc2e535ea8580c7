// The cards of all photos, in bursts and sets, under scenes and days.

const cards = []; // by number of the photo
const units = []; // every unit: {node, photos, moment}
const tools = element("tools").content.firstElementChild.cloneNode(true);
const near = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => fill(target)),
  { rootMargin: "900px 0px" },
);
let current = photos[0];
let peeked = null; // the photo whose pixels show while the pointer is on its 1:1

function fill(card) {
  near.unobserve(card);
  const photo = photos[card.dataset.number];
  if (photo.thumb) load(card.querySelector("img"), `thumb-${photo.number}`);
}

function made(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
}

function card(photo) {
  const node = element("card").content.firstElementChild.cloneNode(true);
  node.dataset.number = photo.number;
  const shape = Math.min(3.2, Math.max(0.5, photo.width / photo.height));
  node.style.setProperty("--shape", shape);
  const button = node.querySelector(".photo");
  if (photo.thumb) button.append(picture(photo, "thumb"));
  else button.append(made("span", "none", photo.error ?? "no picture"));
  if (photo.best) {
    node.querySelector(".best").hidden = false;
    node.querySelector(".best span").textContent = `Best of ${photo.best}`;
  }
  node.querySelector(".score").textContent = photo.score === null ? "–" : photo.score.toFixed(1);
  node.querySelector(".doubt").textContent = doubtText(photo);
  node.querySelector(".name").textContent = photo.name;
  node.querySelector(".name").title = `${photo.folder}/${photo.name}`;
  cards[photo.number] = node;
  dress(photo);
  near.observe(node);
  return node;
}

// All that follows from the decision.
function dress(photo) {
  const node = cards[photo.number];
  node.dataset.verdict = photo.decision;
  const chip = node.querySelector(".chip");
  chip.className = `chip ${photo.decision}`;
  chip.textContent = `${SIGNS[photo.decision]} ${WORDS[photo.decision]}`;
  chip.hidden = !decided && photo.decision === "review";
  const faults = photo.issues.map((issue) => issue.text);
  const note = node.querySelector(".note");
  note.textContent = [...reasons(photo), ...faults].join("; ");
  note.title = note.textContent;
  const image = node.querySelector(".photo img");
  if (image) image.alt = described(photo);
  else node.querySelector(".photo").setAttribute("aria-label", described(photo));
}

function unit({ title, photos: numbers }) {
  const own = numbers.map((number) => photos[number]);
  const node = made("div", title ? "unit group" : "unit");
  const inner = title ? made("div", "frames") : node;
  if (title) {
    node.setAttribute("role", "group");
    node.setAttribute("aria-label", title);
    node.append(made("p", "title", title), inner);
  }
  const found = { node, photos: own, order: units.length, best: Math.max(...own.map(scoreOf)) };
  for (const photo of own) {
    photo.unit = found;
    inner.append(card(photo));
  }
  units.push(found);
  return found;
}

function scoreOf(photo) {
  return photo.score ?? 0;
}

const built = sections.map(({ title, flows }) => ({
  title,
  flows: flows.map((flow) => ({ ...flow, units: flow.units.map(unit) })),
}));

// Put the units under their headings: by time, or all together by score.
function arrange(sort) {
  const sorted = { best: (a, b) => b.best - a.best, worst: (a, b) => a.best - b.best }[sort];
  const titles = { best: "Best first", worst: "Worst first" };
  const all = sorted
    ? [{ title: titles[sort], flows: [{ title: null, units: [...units].sort(sorted) }] }]
    : built;
  for (const old of element("sheet").querySelectorAll("section")) old.remove();
  for (const { title, flows } of all) {
    const section = made("section");
    const head = made("h2", "", title);
    const number = flows.flatMap((flow) => flow.units).flatMap((each) => each.photos).length;
    head.append(" ", made("span", "muted", number === 1 ? "1 photo" : `${number} photos`));
    const blocks = made("div", "flows");
    blocks.append(...flows.map(block));
    section.append(head, blocks);
    element("sheet").append(section);
  }
}

function block({ title, units: own }) {
  const alone = own.length === 1 && own[0].photos.length === 1;
  const node = made("div", alone ? "flow" : "flow wide");
  if (title) node.append(made("h3", "", title));
  const rows = made("div", "rows");
  rows.append(...own.map((each) => each.node));
  node.append(rows);
  return node;
}

// Of the photos that are shown, in the order they stand.
function visible() {
  return [...element("sheet").querySelectorAll(".card:not([hidden])")].map(
    (node) => photos[node.dataset.number],
  );
}

function mark(photo) {
  buttonOf(current).tabIndex = -1;
  cards[current.number].classList.remove("current");
  current = photo;
  buttonOf(current).tabIndex = 0;
  cards[current.number].classList.add("current");
  hold(cards[current.number]);
}

function buttonOf(photo) {
  return cards[photo.number].querySelector(".photo");
}

// The buttons of decision stand on the card that is pointed at or has the focus.
function hold(node) {
  if (tools.parentNode !== node) node.querySelector(".photo").after(tools);
}

function go(photo) {
  mark(photo);
  if (element("loupe").open) {
    fillLoupe();
    return speak(described(photo));
  }
  if (cards[photo.number].hidden) return;
  buttonOf(photo).focus({ preventScroll: true });
  cards[photo.number].scrollIntoView({ block: "nearest" });
}

// Pixel by pixel, for all frames that stand side by side.
function zoom(photo) {
  const on = !photo.unit.node.classList.contains("zoomed");
  photo.unit.node.classList.toggle("zoomed", on);
  for (const each of photo.unit.photos) pixels(each, on);
  const shown = photo.unit.photos.length > 1 ? `${photo.unit.photos.length} frames` : photo.name;
  speak(on ? `${shown} at 100 %` : `${shown} whole`);
}

function pixels(photo, on) {
  const button = buttonOf(photo);
  const there = button.querySelector(".pixels");
  if (!on) there?.remove();
  else if (photo.crop && !there) {
    const image = picture(photo, "crop");
    image.className = "pixels";
    load(image, `crop-${photo.number}`);
    button.append(image);
  }
}

// The same for one photo, or null for none, as long as the pointer rests on its button.
function peek(photo) {
  if (photo === peeked) return;
  if (peeked && !peeked.unit.node.classList.contains("zoomed")) pixels(peeked, false);
  peeked = photo;
  if (photo) pixels(photo, true);
}
