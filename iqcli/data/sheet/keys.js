// Keys, the pointer, and the first look.

const VERDICTS = { p: "keep", x: "reject", u: "review" };
const MOVES = { ArrowLeft: -1, ArrowRight: 1 };
const ROWS = { ArrowUp: -1, ArrowDown: 1 };
const TYPED = "input:not([type=checkbox]), select";
let pointed = false; // the pointer was used last, not a key

// The shown photo so many places on, or null.
function beside(photo, way) {
  const shown = visible();
  return shown[shown.indexOf(photo) + way] ?? null;
}

function step(way) {
  const next = beside(current, way);
  if (next) go(next);
}

// The photo of the next row that stands under or over this one.
function stepRow(way) {
  const shown = visible();
  const box = ({ number }) => cards[number].getBoundingClientRect();
  const middle = ({ left, right }) => (left + right) / 2;
  const own = box(current);
  let row = null;
  let found = null;
  let least = Infinity;
  for (let at = shown.indexOf(current) + way; shown[at]; at += way) {
    const each = box(shown[at]);
    if (row === null && Math.abs(each.top - own.top) < own.height / 2) continue;
    row ??= each.top;
    if (Math.abs(each.top - row) > own.height / 2) break;
    const far = Math.abs(middle(each) - middle(own));
    if (far < least) [found, least] = [shown[at], far];
  }
  if (found) go(found);
}

function pressed(event) {
  const { key, target } = event;
  if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "z" && !event.shiftKey) {
    if (target.matches(TYPED)) return false;
    undo();
    return true;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  if (target.matches(TYPED)) return leave(key, target);
  if (element("help").open) return false;
  const verdict = VERDICTS[key.toLowerCase()];
  if (verdict && acts()) {
    // A key that is held down would go on to photos that nobody has looked at.
    if (event.repeat) return true;
    const photo = current;
    decide(photo, verdict);
    if (event.shiftKey && current === photo) step(1);
    return true;
  }
  return moved(key, target);
}

// What is not shown is not decided on.
function acts() {
  return loupe.open || !isHidden(current);
}

function leave(key, field) {
  if (key !== "Escape" && !(key === "Enter" && field === inputs.search)) return false;
  field.blur();
  go(current);
  return true;
}

function moved(key, target) {
  const free = !target.matches("button:not(.photo), a, input") && acts();
  if (MOVES[key]) step(MOVES[key]);
  else if (ROWS[key] && !loupe.open) stepRow(ROWS[key]);
  else if (key === "z" || key === "Z" || (key === " " && free)) {
    if (!loupe.open && acts()) zoom(current);
  } else if (key === "Enter" && free && !loupe.open) openLoupe(current);
  else if (key === "Home" && !loupe.open) go(visible()[0] ?? current);
  else if (key === "End" && !loupe.open) go(visible().at(-1) ?? current);
  else if (key === "?") element("help").showModal();
  else if (key === "/" && !loupe.open) inputs.search.focus();
  else return false;
  return true;
}

addEventListener("pointerdown", () => {
  pointed = true;
});
addEventListener("keydown", (event) => {
  pointed = false;
  if (photos.length && pressed(event)) event.preventDefault();
});
addEventListener("keyup", (event) => {
  if (event.key === " " && event.target.matches(".photo")) event.preventDefault(); // or it clicks
});

const main = element("sheet");
main.addEventListener("click", (event) => {
  const node = event.target.closest(".card");
  if (!node) return;
  const photo = photos[node.dataset.number];
  const tool = event.target.closest(".tools button");
  if (!tool) return event.target.closest(".photo") ? openLoupe(photo) : go(photo);
  go(photo);
  if (tool.dataset.verdict) decide(photo, tool.dataset.verdict);
  else zoom(photo);
});
main.addEventListener("pointerover", (event) => {
  const node = event.target.closest(".card");
  if (node && !tools.contains(document.activeElement)) hold(node);
  peek(event.target.closest("[data-zoom]") && photos[node.dataset.number]);
});
main.addEventListener("pointerleave", () => peek(null));
main.addEventListener("focusin", (event) => {
  const node = event.target.closest(".card");
  if (node && !large && node !== cards[current.number]) mark(photos[node.dataset.number]);
});

element("save").addEventListener("click", save);
element("undo").addEventListener("click", undo);
element("help-open").addEventListener("click", () => element("help").showModal());
element("message").querySelector("button").addEventListener("click", () => {
  element("message").hidden = true;
});
element("more").addEventListener("click", () => {
  const open = element("filters").classList.toggle("open");
  element("more").setAttribute("aria-expanded", open);
});
element("theme").addEventListener("click", () => {
  const next = { auto: "light", light: "dark", dark: "auto" };
  const theme = next[document.documentElement.dataset.theme ?? "auto"];
  document.documentElement.dataset.theme = theme;
  element("theme").textContent = `Theme: ${theme}`;
});
// Paper shows all there is.
addEventListener("beforeprint", () => cards.forEach(fill));

if (photos.length) {
  arrange(inputs.sort.value);
  count();
  filter();
  mark(current);
}
