// A URL that has leaked is not staged but rotated: whoever holds it would be told the next one.

function offer() {
  const leaked = document.getElementById("stage-reason").value === "leak";
  for (const id of ["stage-leak", "stage-rotate"]) document.getElementById(id).hidden = !leaked;
  document.getElementById("stage-send").hidden = leaked;
}

document.addEventListener("change", (event) => event.target.id === "stage-reason" && offer());
document.addEventListener("opened", (event) => event.target.id === "stage" && offer());
