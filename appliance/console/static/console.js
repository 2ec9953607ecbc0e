// The console in a browser: applies the parts of a page as they change, sends small changes without
// loading the page, and lets the keyboard walk through lists. Every page works without it.

const body = document.body;

// --- parts that change ---------------------------------------------------------------------------

/** The action of an element: no link or button becomes another one while a user clicks it. */
const purpose = (node) => ["formaction", "href", "value"].map((name) => node.getAttribute?.(name)).join("\n");

const isSame = (old, next) => old.nodeName === next.nodeName && purpose(old) === purpose(next);

/** Make `old` like `next` with as few changes as possible, so that focus and selection stay. */
function morph(old, next) {
  if (!isSame(old, next)) {
    old.replaceWith(next);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== next.data) old.data = next.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    // `details` that a viewer has opened stay open.
    if (!next.hasAttribute(name) && !(name === "open" && old.matches("details"))) old.removeAttribute(name);
  }
  for (const { name, value } of [...next.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const fresh = [...next.childNodes];
  // Parts are found by their key: a row that moves takes its checkbox along. Those that are gone go
  // first, so that the others need not move.
  const keys = new Set(fresh.map((child) => child.dataset?.part));
  const keyed = new Map();
  for (const child of [...old.children]) {
    const key = child.dataset.part;
    if (key && keys.has(key)) keyed.set(key, child);
    else if (key) child.remove();
  }
  if (old.matches("tbody[data-part]")) {
    orders.delete(old);
    if (isUsed(old)) keepPlaces(old, fresh);
  }
  fresh.forEach((child, index) => {
    const at = old.childNodes[index];
    const key = child.dataset?.part;
    const same = key && keyed.get(key);
    if (key) {
      if (!same || same !== at) old.insertBefore(same ?? child, at ?? null);
      if (same && child.dataset.kept === undefined) morph(same, child);
    } else if (at) morph(at, child);
    else old.append(child);
  });
  while (old.childNodes.length > fresh.length) old.lastChild.remove();
}

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

const partOf = (key) => document.querySelector(`[data-part="${CSS.escape(key)}"]`);

/** Change the page. What has the focus may be moved by that, or go: the keyboard goes on with what
 *  does the same, else with its row, the next row, the notice, the page. */
function keepFocus(change) {
  const focused = document.activeElement;
  const home = focused?.closest("[data-part]")?.dataset.part;
  const place = openers().findIndex((one) => one.closest("[data-part]")?.dataset.part === home);
  change();
  if (!home || document.activeElement === focused) return;
  const around = partOf(home);
  const twins = [...(around?.querySelectorAll(focused.localName) ?? [])];
  const heirs = [
    focused.isConnected ? focused : twins.find((one) => isSame(one, focused)),
    around?.querySelector("[data-open], a, button"),
    around ? null : openers().slice(0, place + 1).at(-1),
    notice,
    document.getElementById("main"),
  ];
  heirs.find((one) => one?.checkVisibility()).focus({ preventScroll: true });
}

function take(parts) {
  keepFocus(() => {
    for (const [key, html] of Object.entries(parts)) {
      const old = partOf(key);
      const next = parse(html);
      if (old && next) morph(old, next);
    }
  });
}

// --- the order of rows ---------------------------------------------------------------------------

/** The keys of the rows of lists that take their order once pointer and keyboard have left them. */
const orders = new Map();

const isUsed = (list) => list.matches(":hover, :has(:focus-visible)");

/** Put rows in the order that a list has now, so that none moves away under the pointer. */
function keepPlaces(list, rows) {
  orders.set(list, rows.map((row) => row.dataset?.part));
  const places = new Map([...list.children].map((row, place) => [row.dataset.part, place]));
  const placeOf = (row) => places.get(row.dataset?.part) ?? places.size;
  rows.sort((one, other) => placeOf(one) - placeOf(other));
}

function arrange() {
  for (const [list, keys] of orders) {
    if (isUsed(list)) continue;
    orders.delete(list);
    const rows = keys.map(partOf).filter((row) => row?.parentNode === list);
    keepFocus(() => rows.forEach((row, place) => {
      if (list.children[place] !== row) list.insertBefore(row, list.children[place]);
    }));
  }
}

for (const name of ["pointerout", "focusout"]) addEventListener(name, () => setTimeout(arrange));

const live = document.getElementById("live");
let source = null;

function say(word) {
  if (!live) return;
  live.textContent = live.dataset[word];
  live.classList.toggle("lost", word === "lost");
}

function listen() {
  if (!body.dataset.stream || source) return;
  source = new EventSource(body.dataset.stream);
  source.addEventListener("open", () => say("live"));
  source.addEventListener("parts", (event) => take(JSON.parse(event.data)));
  source.addEventListener("ended", () => location.reload());
  source.addEventListener("error", () => {
    say("lost");
    if (source && source.readyState === EventSource.CLOSED) {
      source = null;
      setTimeout(listen, 3000);
    }
  });
}

// A page that the browser keeps for its Back button must not keep its stream: a host has six.
addEventListener("pagehide", () => {
  if (source) source.close();
  source = null;
});
addEventListener("pageshow", listen);

// --- small changes -------------------------------------------------------------------------------

const notice = document.getElementById("notice");
let fading = 0;

function announce(next) {
  keepFocus(() => {
    notice.querySelector("[role=status]").replaceChildren(); // what is said again is read out again
    morph(notice, next);
  });
  prepareNotice();
}

/** For ten seconds a notice is seen wherever the page is scrolled to, and can be undone. */
function prepareNotice() {
  clearInterval(fading);
  if (!notice?.matches(".notice")) return;
  let left = 10;
  const undo = notice.querySelector("form");
  const tick = () => {
    if (undo) undo.querySelector(".countdown").textContent = `${left} s`;
    notice.classList.toggle("fresh", left > 0);
    if (left-- > 0) return;
    clearInterval(fading);
    keepFocus(() => undo?.remove());
  };
  tick();
  fading = setInterval(tick, 1000);
}

const sending = new WeakSet();

addEventListener("submit", async (event) => {
  const form = event.target;
  const button = event.submitter;
  if (!button || button.dataset.inline === undefined) return;
  event.preventDefault();
  if (sending.has(button)) return; // not disabled: that would take the focus away
  sending.add(button);
  const target = button.getAttribute("formaction") || form.getAttribute("action");
  try {
    const answer = await fetch(target, {
      method: "POST",
      headers: { "X-Fragment": "1" },
      body: new URLSearchParams(new FormData(form, button)),
    });
    const next = parse(await answer.text());
    if (answer.redirected || answer.status === 401) location.reload();
    else if (next?.id === "notice") announce(next);
    else say("lost"); // the answer of a proxy
    for (const box of document.querySelectorAll("input[name=ids]:checked, [data-pick-all]:checked")) box.checked = false;
  } catch {
    say("lost");
  } finally {
    sending.delete(button);
  }
});

addEventListener("change", (event) => {
  const all = event.target;
  if (all.dataset.pickAll === undefined) return;
  for (const box of document.querySelectorAll("input[name=ids]")) box.checked = all.checked;
});

// --- keyboard ------------------------------------------------------------------------------------

const openers = () => [...document.querySelectorAll("[data-rows] [data-open]")];

addEventListener("keydown", (event) => {
  const at = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && at.matches("[data-search]")) at.blur();
  if (at.matches("input, textarea, select")) {
    if (event.key !== "ArrowDown" || !at.matches("[data-search]")) return;
  }
  if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  }
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const rows = openers();
  if (!rows.length) return;
  const here = rows.indexOf(document.activeElement);
  if (here < 0 && event.key === "ArrowUp") return;
  const next = rows[Math.min(rows.length - 1, Math.max(0, here + (event.key === "ArrowDown" ? 1 : -1)))];
  event.preventDefault();
  next.focus();
  next.scrollIntoView({ block: "nearest" });
});

// The answer to a form: Back would ask to send it again, and finds the page before instead.
const back = document.querySelector("[data-back]");
if (back) history.replaceState(null, "", back.href);

// On a phone the pages are a line that is wider than the screen.
document.querySelector(".rail [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

prepareNotice();
