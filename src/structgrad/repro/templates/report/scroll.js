/** Whether a frame has more to the right than it shows. */
function cue(scroll) {
  const rest = scroll.scrollWidth - scroll.clientWidth - scroll.scrollLeft;
  scroll.parentElement.classList.toggle("more", rest > 2);
}

const watcher = new ResizeObserver((entries) => entries.forEach((entry) => cue(entry.target)));
for (const scroll of all(".scroll")) {
  watcher.observe(scroll);
  scroll.addEventListener("scroll", () => cue(scroll), { passive: true });
}
apply();
arrive();
