"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const player = byId("player"), timeline = byId("timeline");
  if (!timeline) return;
  const duration = Number(timeline.dataset.duration);
  const head = byId("head");
  const parts = [...timeline.querySelectorAll(".part")];
  const spoken = [...document.querySelectorAll("#spoken button")];
  let at = 0, playable = Boolean(player), current = -1;

  const inside = (seconds) => {
    const place = parts.findIndex((part) => seconds < Number(part.dataset.end));
    return place < 0 ? parts.length - 1 : place;
  };

  function show(seconds) {
    at = Math.min(Math.max(seconds, 0), duration);
    timeline.style.setProperty("--at", at / duration);
    const now = inside(at);
    if (now === current) return;
    for (const list of [parts, spoken]) {
      if (list[current]) list[current].removeAttribute("aria-current");
      if (list[now]) list[now].setAttribute("aria-current", "true");
    }
    if (spoken[now]) {
      // Within the list alone: the page itself must not move while somebody reads.
      const list = byId("spoken"), row = spoken[now];
      const over = row.offsetTop - list.offsetTop;
      if (over < list.scrollTop || over + row.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = over - 40;
    }
    current = now;
  }

  function seek(seconds) {
    show(seconds);
    if (playable) player.currentTime = at;
  }

  timeline.addEventListener("click", (event) => {
    const part = event.target.closest(".part");
    // A click of the keyboard has no place of its own: it goes to where the segment begins.
    if (part && event.detail === 0) return seek(Number(part.dataset.start));
    const track = event.target.closest(".track");
    if (!track) return;
    const box = track.getBoundingClientRect();
    seek((duration * (event.clientX - box.left)) / box.width);
  });
  for (const button of spoken) button.addEventListener("click", () => seek(Number(button.dataset.start)));

  // One stop for Tab, arrows between the segments: there may be hundreds.
  timeline.addEventListener("keydown", (event) => {
    const place = parts.indexOf(event.target);
    const next = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: parts.length - 1 }[event.key];
    if (place < 0 || next === undefined || !parts[next]) return;
    event.preventDefault();
    parts[place].tabIndex = -1;
    parts[next].tabIndex = 0;
    parts[next].focus();
  });

  if (player) {
    const follow = () => {
      show(player.currentTime);
      if (!player.paused && !player.ended) requestAnimationFrame(follow);
    };
    player.addEventListener("play", follow);
    player.addEventListener("seeked", () => show(player.currentTime));
    const fail = () => {
      playable = false;
      player.hidden = true;
      byId("unplayable").hidden = false;
    };
    player.addEventListener("error", fail);
    if (player.error) fail();
  }
  head.hidden = false;
  show(0);
})();
