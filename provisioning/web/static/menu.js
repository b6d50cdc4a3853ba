// On a narrow screen the menu is closed until it is asked for; on a wide one it is always there.
const menu = document.querySelector(".menu");
const narrow = matchMedia("(max-width: 50rem)");
const fit = () => {
  if (menu) menu.open = !narrow.matches;
};
fit();
narrow.addEventListener("change", fit);
