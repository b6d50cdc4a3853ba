// Uploads a clip and shows how far it is, which fetch cannot tell.
import { logInAgain, toast } from "./api.js";
import { clear, show } from "./forms.js";
import { refresh } from "./parts.js";

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-upload]");
  if (!form) return;
  event.preventDefault();
  if (form.hasAttribute("aria-busy")) return;
  clear(form);
  if (!form.elements.file.files.length) {
    show(form, [{ field: "file", message: "Choose a file first." }]);
    return;
  }
  form.setAttribute("aria-busy", "true");
  const { status, body } = await send(form);
  form.removeAttribute("aria-busy");
  if (status === 401 && (await logInAgain())) form.requestSubmit();
  else if (status === 201) {
    toast(`${body.name} is uploaded.`);
    await refresh("clip-name");
  } else show(form, body?.errors ?? [], body?.detail ?? "The server could not be reached. Nothing was uploaded.");
});

function send(form) {
  const progress = form.querySelector("progress");
  const request = new XMLHttpRequest();
  progress.hidden = false;
  progress.value = 0;
  request.upload.onprogress = (event) => (progress.value = event.loaded / event.total);
  request.open("POST", `/api/v1${form.dataset.upload}`);
  request.responseType = "json";
  return new Promise((resolve) => {
    request.onloadend = () => {
      progress.hidden = true;
      resolve({ status: request.status, body: request.response });
    };
    const data = new FormData();
    data.append("name", form.elements.name.value.trim());
    data.append("file", form.elements.file.files[0]);
    request.send(data);
  });
}
