// Calls the JSON API with the session's cookie. What goes wrong is a Problem with words for people.

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail);
    this.status = status;
    this.errors = body.errors ?? [];
  }
}

// Whether it was done before the way broke off, nobody can tell.
const LOST = { detail: "The server could not be reached: it may not have been saved." };

// Answers {data, etag}. A session that has ended is begun again in a dialog, and the call is made again.
export async function call(method, path, body, etag) {
  const headers = { Accept: "application/json" };
  const raw = body instanceof FormData || body instanceof Blob; // the browser names their type
  if (!raw && body !== undefined) headers["Content-Type"] = "application/json";
  if (etag) headers["If-Match"] = etag;
  const sent = body === undefined || raw ? body : JSON.stringify(body);
  const response = await fetch(`/api/v1${path}`, { method, headers, body: sent, redirect: "error" }).catch(() => {
    throw new Problem(0, LOST);
  });
  if (response.status === 401) {
    if (await logInAgain()) return call(method, path, body, etag);
    throw new Problem(401, { detail: "You are logged out. Nothing was saved." });
  }
  const text = await response.text().catch(() => {
    throw new Problem(0, LOST);
  });
  const data = parsed(text);
  if (!response.ok) throw new Problem(response.status, data ?? { detail: `The server answered ${response.status}.` });
  return { data, etag: response.headers.get("ETag") };
}

function parsed(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

let asking = null;

// True when the user is logged in again; several calls that were refused ask once.
export function logInAgain() {
  asking ??= ask().finally(() => (asking = null));
  return asking;
}

// A dialog of a template, until it is closed.
export function made(name) {
  const dialog = document.getElementById(`${name}-template`).content.firstElementChild.cloneNode(true);
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  return dialog;
}

function ask() {
  const dialog = made("login");
  const form = dialog.querySelector("form");
  const problem = dialog.querySelector("[role=alert]");
  dialog.showModal();
  form.elements.password.focus();
  return new Promise((resolve) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      const body = JSON.stringify({ email: form.elements.email.value, password: form.elements.password.value });
      const headers = { "Content-Type": "application/json" };
      const response = await fetch("/api/v1/session", { method: "POST", headers, body }).catch(() => null);
      if (response?.ok) {
        resolve(true);
        dialog.close();
      } else {
        problem.textContent = response ? (parsed(await response.text())?.detail ?? "Try again.") : LOST.detail;
        form.elements.password.focus();
      }
    };
    dialog.addEventListener("close", () => resolve(false));
  });
}

// A toast for the page that is opened next.
export const toastNext = (text) => sessionStorage.setItem("toast", text);
const waiting = sessionStorage.getItem("toast");
sessionStorage.removeItem("toast");
if (waiting) setTimeout(() => toast(waiting)); // screen readers tell what changes, not what is there

export function toast(text) {
  const line = document.createElement("p");
  line.textContent = text;
  document.getElementById("toasts").replaceChildren(line);
  setTimeout(() => line.remove(), 8000);
}
