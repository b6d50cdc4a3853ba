// The board after a rotation: its bar moves by itself while a phone is not back.
import { call } from "./api.js";
import { refresh } from "./parts.js";

// Each look is entered in the activity log: where nothing has happened for a while they become rarer.
const SOON = 5000;
const LATER = 30000;
const QUIET = 300000;

const section = document.getElementById("progress");
const bar = document.getElementById("bar");
let seen = JSON.parse(section.dataset.seen);
let news = Date.now();
let timer;
let asking = false;

async function look() {
  if (asking) return;
  asking = true;
  try {
    const { data } = await call("GET", "/account/provisioning/board?limit=0");
    const urls = [data.generation, data.staged_generation || 0];
    if (urls.join() !== [section.dataset.generation, section.dataset.staged].join()) return void location.reload();
    late("");
    const now = [data.counts, data.last_knock_at];
    if (JSON.stringify(now) !== JSON.stringify(seen)) {
      seen = now;
      news = Date.now();
      show(data.counts);
      await refresh();
    }
  } catch (problem) {
    late(`This is not up to date: ${problem.status ? problem.message : "the server does not answer."}`);
    if ([401, 403].includes(problem.status)) return; // who does not log in again is not asked every few seconds
  } finally {
    asking = false;
  }
  plan();
}

function show({ total, back, knocking, silent, told }) {
  bar.max = total || 1;
  bar.value = back;
  document.getElementById("progress-text").textContent = `${back} of ${total} phones are back, ${knocking} knocking, ${silent} silent.`;
  const next = document.getElementById("told-text");
  if (next) next.textContent = `${told} of ${total} phones know the next URL.`;
}

function late(words) {
  document.getElementById("progress-late").textContent = words;
}

function plan() {
  clearTimeout(timer);
  const [counts] = seen;
  const open = counts.back < counts.total || (section.dataset.staged !== "0" && counts.told < counts.total);
  if (!document.hidden && open) timer = setTimeout(look, Date.now() - news < QUIET ? SOON : LATER);
}

if (bar) {
  plan();
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : look()));
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) print();
});
