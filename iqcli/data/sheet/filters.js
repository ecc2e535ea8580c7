// Which photos are shown.

const inputs = Object.fromEntries(
  ["search", "issue", "day", "folder", "least", "most", "groups", "sort"].map((id) => [id, element(id)]),
);
const wanted = new Set(["keep", "review", "reject"]);

function options(select, found) {
  const sorted = [...found].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [value, [text, number]] of sorted) {
    const option = made("option", "", `${text} (${number})`);
    option.value = value;
    select.append(option);
  }
  if (sorted.length < 2 && select.id !== "issue") select.hidden = true;
}

function tally(values) {
  const found = new Map();
  for (const [value, text] of values) {
    found.set(value, [text, (found.get(value)?.[1] ?? 0) + 1]);
  }
  return found;
}

options(
  inputs.issue,
  tally(photos.flatMap((photo) => photo.issues.map(({ name }) => [name, name.replaceAll("_", " ")]))),
);
options(inputs.day, tally(photos.map(({ day }) => [day ?? "none", day ?? "without a date"])));
options(inputs.folder, tally(photos.map(({ folder }) => [folder, folder])));
for (const photo of photos) {
  const words = [photo.name, photo.folder, photo.camera, ...photo.reasons];
  photo.text = [...words, ...photo.issues.map((issue) => issue.text)].join("\n").toLowerCase();
}

function matches(photo) {
  const { search, issue, day, folder, least, most, groups } = inputs;
  const score = photo.score ?? NaN;
  return (
    wanted.has(photo.decision) &&
    photo.text.includes(search.value.trim().toLowerCase()) &&
    (!issue.value || photo.issues.some(({ name }) => name === issue.value)) &&
    (!day.value || (photo.day ?? "none") === day.value) &&
    (!folder.value || photo.folder === folder.value) &&
    (!least.value || score >= least.valueAsNumber) &&
    (!most.value || score <= most.valueAsNumber) &&
    (!groups.checked || photo.unit.photos.length > 1)
  );
}

function filter() {
  for (const photo of photos) cards[photo.number].hidden = !matches(photo);
  tidy();
}

// After a decision: the photo may no longer be one of those that are shown.
function refilter(photo) {
  const goes = !matches(photo);
  if (cards[photo.number].hidden === goes) return;
  const next = goes && photo === current ? beside(photo, 1) ?? beside(photo, -1) : null;
  cards[photo.number].hidden = goes;
  tidy();
  if (next) go(next);
}

function tidy() {
  for (const { node, photos: own } of units) node.hidden = own.every(isHidden);
  for (const node of element("sheet").querySelectorAll(".flow, section")) {
    node.hidden = !node.querySelector(".card:not([hidden])");
  }
  const shown = photos.length - photos.filter(isHidden).length;
  element("nothing").hidden = shown > 0;
  const few = shown < photos.length;
  const text = `showing ${shown.toLocaleString("en")} of ${photos.length.toLocaleString("en")}`;
  element("shown").textContent = few ? text : "all shown";
  element("shown").classList.toggle("few", few);
  if (isHidden(current) && shown) mark(visible()[0]);
}

function isHidden(photo) {
  return cards[photo.number].hidden;
}

element("filters").addEventListener("input", (event) => {
  if (event.target === inputs.sort) arrange(inputs.sort.value);
  filter();
});
// Who chose with the pointer goes on with keys that are not for the list of choices.
element("filters").addEventListener("change", (event) => {
  if (pointed && event.target.matches("select") && !isHidden(current)) {
    buttonOf(current).focus({ preventScroll: true });
  }
});
element("clear").addEventListener("click", () => {
  element("filters").reset();
  for (const verdict of Object.keys(WORDS)) show(verdict, true);
  arrange(inputs.sort.value);
  filter();
});
element("filters").addEventListener("submit", (event) => event.preventDefault());

function show(verdict, on) {
  if (on) wanted.add(verdict);
  else wanted.delete(verdict);
  document.querySelector(`.count.${verdict}`).setAttribute("aria-pressed", on);
}

for (const button of document.querySelectorAll(".count")) {
  button.addEventListener("click", () => {
    show(button.dataset.verdict, !wanted.has(button.dataset.verdict));
    filter();
  });
}
