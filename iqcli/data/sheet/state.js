"use strict";
// The photos, what a person decides of them, and the file that says so.

const { photos, sections, header, decided, save: stem } = JSON.parse(element("data").textContent);
// Where no rule was asked, what waits for review is what nobody has decided yet.
const WORDS = { keep: "Keep", review: decided ? "Review" : "Undecided", reject: "Reject" };
const SIGNS = { keep: "✓", review: "?", reject: "✕" };
const changes = []; // what undo takes back: [number, the verdict before]
let saved = true;

photos.forEach((photo, number) => {
  photo.number = number;
  photo.was = photo.decision; // what the rule decided
});

function element(id) {
  return document.getElementById(id);
}

function decide(photo, verdict) {
  if (verdict === "reject" && !photo.held) {
    return tell(`${photo.name} could not be read, so it cannot be rejected.`);
  }
  if (photo.decision === verdict) return announce(photo);
  changes.push([photo.number, photo.decision]);
  settle(photo, verdict);
}

function undo() {
  const change = changes.pop();
  if (!change) return;
  const photo = photos[change[0]];
  settle(photo, change[1]);
  if (element("loupe").open || !isHidden(photo)) go(photo);
}

function settle(photo, verdict) {
  photo.decision = verdict;
  saved = false;
  dress(photo);
  count();
  refilter(photo);
  if (element("loupe").open) fillLoupe();
  announce(photo);
}

function counts() {
  const found = { keep: 0, review: 0, reject: 0 };
  for (const photo of photos) found[photo.decision] += 1;
  return found;
}

function count() {
  const found = counts();
  for (const button of document.querySelectorAll(".count")) {
    button.querySelector("b").textContent = found[button.dataset.verdict].toLocaleString("en");
  }
  element("undo").disabled = changes.length === 0;
  const byHand = photos.filter((photo) => photo.decision !== photo.was).length;
  element("save").textContent = byHand ? `Save decisions (${byHand} by hand)` : "Save decisions";
}

function announce(photo) {
  speak(`${photo.name}: ${wordOf(photo)}. ${sums()}`);
}

function wordOf(photo) {
  return WORDS[photo.decision].toLowerCase();
}

function sums() {
  const words = Object.entries(counts()).map(([key, many]) => `${many} ${WORDS[key].toLowerCase()}`);
  return words.join(", ");
}

// What lies outside an open dialog is not read out.
function speak(sentence) {
  const open = element("loupe").open;
  (open ? element("loupe").querySelector(".live") : element("live")).textContent = sentence;
}

function reasons(photo) {
  return photo.decision === photo.was ? photo.reasons : ["chosen by hand"];
}

function line(photo) {
  if (photo.decision === photo.was) return photo.line;
  const found = JSON.parse(photo.line);
  found.decision = photo.decision;
  found.reasons = reasons(photo);
  found.codes = ["by_hand"];
  return JSON.stringify(found);
}

// A name of its own for each save: a browser would number the second of one name by itself, and the
// command would take the first.
function fileName() {
  const now = new Date();
  const local = new Date(now - now.getTimezoneOffset() * 60000).toISOString();
  return `${stem}-${local.slice(0, 19).replace("T", "-").replaceAll(":", "")}.jsonl`;
}

function save() {
  const name = fileName();
  const text = [header, ...photos.map(line), ""].join("\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/jsonl" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  saved = true;
  tell("Saved with your downloads. To move the rejects:", `iq cull --from-plan ${name} --apply`);
}

function tell(sentence, command = "") {
  element("message").querySelector("span").textContent = sentence;
  element("message").querySelector("code").textContent = command;
  element("message").hidden = false;
  speak(`${sentence} ${command}`);
}

addEventListener("beforeunload", (event) => {
  if (!saved) event.preventDefault();
});
