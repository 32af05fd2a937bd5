// Asks whether the watcher is back, and then loads what was wanted.
const EVERY = 5_000;
const said = document.getElementById("said");

async function look() {
  try {
    if ((await fetch("/health/live", { cache: "no-store" })).ok) return location.reload();
  } catch {
    // still away
  }
  said.textContent = `Not yet: tried at ${new Date().toLocaleTimeString()}`;
}

document.getElementById("again").addEventListener("click", look);
addEventListener("online", look);
setInterval(look, EVERY);
