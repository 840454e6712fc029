"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const search = byId("search"), action = byId("action"), sort = byId("sort");
  const fold = (text) => text.normalize("NFKC").toLowerCase();
  const numeric = (text) => (text === "" ? null : Number(text));
  const cards = [...document.querySelectorAll(".card")].map((element) => ({
    element,
    text: fold(element.textContent),
    name: element.querySelector("h3").textContent,
    place: Number(element.dataset.place),
    status: element.dataset.status,
    label: element.dataset.label,
    confidence: numeric(element.dataset.confidence),
    duration: numeric(element.dataset.duration),
  }));
  const groups = [...document.querySelectorAll(".group")].map((element) => ({
    element,
    list: element.querySelector(".cards"),
    count: element.querySelector(".n"),
    cards: cards.filter((card) => element.contains(card.element)),
  }));

  // What has no number comes last, whichever way the order runs.
  const by = (key, sign) => (a, b) =>
    (a[key] === null) - (b[key] === null) || sign * (a[key] - b[key]) || a.place - b.place;
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const orders = {
    place: by("place", 1),
    name: (a, b) => collator.compare(a.name, b.name) || a.place - b.place,
    sure: by("confidence", -1),
    unsure: by("confidence", 1),
    long: by("duration", -1),
    short: by("duration", 1),
  };

  const status = () => document.querySelector("input[name=status]:checked").value;

  function filter() {
    const words = fold(search.value).split(/\s+/).filter(Boolean);
    const label = action ? action.value : "";
    const wanted = status();
    const fits = (card) =>
      (!wanted || card.status === wanted) &&
      (!label || card.label === label) &&
      words.every((word) => card.text.includes(word));
    let shown = 0;
    for (const group of groups) {
      let here = 0;
      for (const card of group.cards) {
        const fit = fits(card);
        if (card.element.hidden === fit) card.element.hidden = !fit;
        here += fit;
      }
      group.count.textContent = here.toLocaleString("en");
      group.element.hidden = here === 0 && group.cards.length > 0;
      shown += here;
    }
    byId("empty").hidden = shown > 0 || cards.length === 0;
    byId("clear").hidden = !words.length && !label && !wanted;
    byId("shown").textContent =
      `${shown.toLocaleString("en")} of ${cards.length.toLocaleString("en")} shown`;
  }

  function order() {
    for (const group of groups) {
      if (!group.list) continue;
      group.cards.sort(orders[sort.value]);
      group.list.append(...group.cards.map((card) => card.element));
    }
  }

  function clear() {
    search.value = "";
    if (action) action.value = "";
    document.querySelector("input[name=status][value='']").checked = true;
    filter();
    search.focus();
  }

  const form = byId("controls");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", filter);
  sort.addEventListener("change", order);
  byId("clear").addEventListener("click", clear);
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && document.activeElement === search) {
      clear();
    }
  });
  // A page that was left and come back to keeps its choices: the browser fills them in again.
  form.hidden = false;
  order();
  filter();
})();
