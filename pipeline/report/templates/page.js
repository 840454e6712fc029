"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const search = byId("search"), action = byId("action"), sure = byId("sure"), sort = byId("sort");
  const fold = (text) => text.normalize("NFKC").toLowerCase();

  // All that is shown comes from here, as text: no string of it is ever read as HTML.
  const cards = JSON.parse(byId("records").textContent).map((row, place) => {
    const [label, confidence] = (row.actions || [])[0] || ["", null];
    const words = (pairs) => (pairs || []).map(([name]) => name).join(" ");
    const said = [row.folder, row.name, row.reason, row.caption, words(row.actions),
      words(row.objects), row.also, row.ready];
    return {
      ...row, place, label, confidence: confidence ?? null, duration: row.duration ?? null,
      path: (row.folder || "") + row.name, text: fold(said.filter(Boolean).join("\n")),
      status: !row.ok ? "failed" : row.reason ? "abstained" : "ok",
    };
  });

  const make = (tag, className, ...children) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...children.filter((child) => child !== null));
    return element;
  };
  const apart = (text, className) => make("bdi", className, text);

  function clock(seconds) {
    if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
    const whole = Math.round(seconds), two = (n) => String(n).padStart(2, "0");
    const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
  }

  function percent(value) {
    if (value === null || value === undefined) return "n/a";
    return `${value < 1 ? Math.min(100 * value, 99.9).toFixed(1) : (100 * value).toFixed(1)}%`;
  }

  function picture([src, width, height]) {
    // A strip much wider than a card is shown in two rows, or its frames get tiny.
    const folded = width > 8 * height;
    const strip = make("div", folded ? "strip" : "strip one");
    strip.style.aspectRatio = `${width} / ${folded ? 4 * height : height}`;
    for (let row = 0; row < (folded ? 2 : 1); row += 1) {
      const image = make("img");
      Object.assign(image, { alt: "", width, height, decoding: "async", src });
      strip.append(image);
    }
    return strip;
  }

  function bars(pairs) {
    const list = make("ul", "bars");
    pairs.forEach(([label, probability], place) => {
      const fill = make("i");
      fill.style.width = `${(100 * (probability || 0)).toFixed(1)}%`;
      const bar = make("span", "bar", fill);
      bar.setAttribute("aria-hidden", "true");
      list.append(make("li", place ? "" : "best", make("span", "what", apart(label)),
        make("span", "value", percent(probability)), bar));
    });
    return list;
  }

  function draw(card) {
    const blank = make("div", "strip none");
    blank.setAttribute("aria-hidden", "true");
    const name = [card.folder ? make("span", "folder", apart(card.folder)) : null,
      apart(card.name, "name")];
    const heading = make("h3", "");
    if (card.page) {
      const link = make("a", "open", ...name.filter(Boolean));
      link.href = card.page;
      heading.append(link);
    } else heading.append(...name.filter(Boolean));
    let film = card.strip ? picture(card.strip) : blank;
    if (card.page) {
      // The same link a second time, for the mouse: the keyboard stops at the name.
      film = make("a", "film", film);
      Object.assign(film, { href: card.page, tabIndex: -1 });
      film.setAttribute("aria-hidden", "true");
    }
    const segments = card.segments ? `${card.segments.toLocaleString("en")} segments` : "";
    return make("li", card.ok ? "card" : "card failed",
      film,
      make("div", "body", heading,
        card.duration === null ? null : make("p", "length", clock(card.duration)),
        card.reason ? make("p", card.ok ? "reason quiet" : "reason", card.reason) : null,
        card.caption ? make("p", "caption", card.caption) : null,
        card.actions ? bars(card.actions) : null,
        card.objects ? make("p", "kind", "Objects, by ImageNet's classes") : null,
        card.objects ? bars(card.objects) : null,
        segments || card.ready ? make("p", "more", [segments, card.ready].filter(Boolean).join(" - ")) : null));
  }

  // The list is cut into pieces; those near the window are filled, the others keep their height.
  const PIECE = 24; // Two, three and four columns all come out even.
  const NEAR = "1200px 0px";

  class Group {
    constructor(element) {
      this.element = element;
      this.holder = element.querySelector(".pieces");
      this.count = element.querySelector(".n");
      this.all = cards.filter((card) => card.ok === (element.dataset.group === "ok"));
      this.row = element.dataset.group === "ok" ? 420 : 130; // Pixels, until rows were seen.
      this.watcher = new IntersectionObserver((seen) => {
        for (const entry of seen) entry.isIntersecting ? this.fill(entry.target) : this.clear(entry.target);
      }, { rootMargin: NEAR });
    }

    show(found) {
      this.watcher.disconnect();
      this.pieces = new Map();
      for (let first = 0; first < found.length; first += PIECE) {
        const piece = make("ul", "cards");
        piece.setAttribute("aria-label", `${first + 1} to ${Math.min(first + PIECE, found.length)} of ${found.length}`);
        this.pieces.set(piece, found.slice(first, first + PIECE));
      }
      this.holder.replaceChildren(...this.pieces.keys());
      this.guess();
      const first = this.pieces.keys().next().value;
      if (first) this.fill(first);
      for (const piece of this.pieces.keys()) this.watcher.observe(piece);
      this.count.textContent = found.length.toLocaleString("en");
      this.element.hidden = found.length === 0 && this.all.length > 0;
    }

    rows(piece) {
      return Math.ceil(this.pieces.get(piece).length / this.columns);
    }

    // Give the empty pieces the height that they will about have.
    guess() {
      const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
      this.columns = Math.max(1, Math.floor((this.holder.clientWidth + 1.2 * rem) / (28.2 * rem)));
      for (const piece of this.pieces.keys()) {
        if (!piece.firstChild) piece.style.height = `${this.rows(piece) * this.row}px`;
      }
    }

    fill(piece) {
      if (piece.firstChild) return;
      piece.append(...this.pieces.get(piece).map(draw));
      piece.style.height = "";
    }

    clear(piece) {
      // Whoever stands on a card with the keyboard must not lose it.
      if (!piece.firstChild || piece.contains(document.activeElement)) return;
      const height = piece.getBoundingClientRect().height;
      this.row = height / this.rows(piece);
      piece.style.height = `${height}px`;
      piece.replaceChildren();
    }
  }
  const groups = [...document.querySelectorAll(".group")].map((element) => new Group(element));

  // What has no number comes last, whichever way the order runs.
  const by = (key, sign) => (a, b) =>
    (a[key] === null) - (b[key] === null) || sign * (a[key] - b[key]) || a.place - b.place;
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const orders = {
    place: by("place", 1),
    name: (a, b) => collator.compare(a.path, b.path) || a.place - b.place,
    sure: by("confidence", -1),
    unsure: by("confidence", 1),
    long: by("duration", -1),
    short: by("duration", 1),
  };

  const status = () => document.querySelector("input[name=status]:checked").value;
  const isSure = {
    "": () => true,
    below: (card) => card.confidence !== null && card.confidence < 0.5,
    none: (card) => card.confidence === null,
  };

  function filter() {
    const words = fold(search.value).split(/\s+/).filter(Boolean);
    const label = action ? action.value : "";
    const wanted = status();
    const level = sure ? sure.value : "";
    const fitsLevel = isSure[level] || ((card) => card.confidence !== null && card.confidence >= Number(level));
    const fits = (card) =>
      (!wanted || card.status === wanted || (wanted === "ok" && card.ok)) &&
      (!label || card.label === label) && fitsLevel(card) &&
      words.every((word) => card.text.includes(word));
    let shown = 0;
    for (const group of groups) {
      const found = group.all.filter(fits);
      group.show(found);
      shown += found.length;
    }
    byId("empty").hidden = shown > 0 || cards.length === 0;
    byId("clear").hidden = !words.length && !label && !wanted && !level;
    byId("shown").textContent =
      `${shown.toLocaleString("en")} of ${cards.length.toLocaleString("en")} shown`;
  }

  let sorted = "place";
  function order() {
    if (sort.value !== sorted) for (const group of groups) group.all.sort(orders[sort.value]);
    sorted = sort.value;
    filter();
  }

  function clear() {
    search.value = "";
    for (const choice of [action, sure]) if (choice) choice.value = "";
    document.querySelector("input[name=status][value='']").checked = true;
    filter();
    search.focus();
  }

  const form = byId("controls");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => (event.target === sort ? order() : filter()));
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
  let width = innerWidth;
  addEventListener("resize", () => {
    // On a phone the height changes whenever the address bar comes and goes.
    if (innerWidth !== width) for (const group of groups) group.guess();
    width = innerWidth;
  });
  addEventListener("beforeprint", () => {
    for (const group of groups) for (const piece of group.pieces.keys()) group.fill(piece);
  });
  // A page that was left and come back to keeps its choices: the browser fills them in again.
  form.hidden = byId("found").hidden = false;
  order();
})();
