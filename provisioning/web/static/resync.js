// Resync: a phone is asked on its page and its answer shown; the page of a run moves by itself.
import { call } from "./api.js";
import { sure } from "./dialogs.js";

let since = performance.now();

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-resync]");
  if (!button || button.getAttribute("aria-disabled")) return;
  if (button.dataset.confirm && !(await sure(button.dataset.confirm, button.dataset.text, button.dataset.yes))) return;
  button.setAttribute("aria-disabled", "true"); // a second click does nothing; focus stays
  const via = document.getElementById("resync-via")?.value || null;
  try {
    const { data } = await call("POST", button.dataset.resync, { ...JSON.parse(button.dataset.body), via });
    const said = document.getElementById("resync-said");
    said.dataset.run = data.id;
    said.textContent = "Asking the phone…";
    since = performance.now();
    soon();
  } catch (problem) {
    document.getElementById("resync-said").textContent = `Not asked: ${problem.message}`;
  }
  button.removeAttribute("aria-disabled");
});

// ---- looking: often at first, less often the longer it takes, since each look is an entry in the activity log

const OFTEN = 700; // milliseconds
const SELDOM = 10_000;
let timer = 0;

function soon() {
  clearTimeout(timer);
  timer = setTimeout(look, Math.min(SELDOM, Math.max(OFTEN, (performance.now() - since) / 6)));
}

async function look() {
  try {
    const said = document.querySelector("#resync-said[data-run]");
    const live = document.querySelector("#resync-live[data-live]");
    if (said && !document.hidden) await tell(said);
    if (live && !document.hidden) await move(live);
  } catch {
    // The next look may find the server again.
  }
  soon();
}

async function tell(said) {
  const { data } = await call("GET", `/resyncs/${said.dataset.run}?limit=1`);
  if (!said.isConnected || said.dataset.run !== data.id) return;
  if (!data.ended) return;
  delete said.dataset.run;
  said.textContent = data.data.length ? `Asked just now: ${data.data[0].answer}.` : "";
}

async function move(live) {
  const address = location.href;
  const response = await fetch(address, { headers: { "X-Part": "panel" } });
  if (!response.ok || response.redirected) return;
  const now = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("resync-live");
  if (!now || !live.isConnected || address !== location.href) return;
  live.toggleAttribute("data-live", now.hasAttribute("data-live"));
  if (live.innerHTML === now.innerHTML) return;
  const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
  live.replaceChildren(...now.childNodes);
  if (focused) (document.getElementById(focused) ?? document.getElementById("resync-title")).focus({ preventScroll: true });
}

soon();
