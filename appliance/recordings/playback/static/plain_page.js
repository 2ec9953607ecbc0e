// The plain page of a recording of the format presentation. It reads the files that BigBlueButton
// writes, all of which may be missing or hold anything: what they say becomes text, numbers that are
// checked, and addresses below the recording's own directory; never markup.

const {Drawings} = await import(document.body.dataset.drawings);
const get = (id) => document.getElementById(id);
const words = document.body.dataset;
const base = new URL(words.files, location.href);
const [parts, slide, picture, pointer] = ["parts", "slide", "picture", "pointer"].map(get);
const [webcams, screen, chatList, slideList] = ["webcams", "screen", "chat-list", "slide-list"].map(get);
const MOST = 5000; // of anything that becomes elements
const LONGEST_S = 1e6;
const XLINK = "http://www.w3.org/1999/xlink";

// --- files ---------------------------------------------------------------------------------------

async function read(name) {
  try {
    const answer = await fetch(new URL(name, base));
    return answer.ok ? await answer.text() : "";
  } catch {
    return "";
  }
}

async function readXml(name) {
  // The styles of shapes.svg under another name: the policy of the page refuses them, loudly.
  const text = (await read(name)).replace(/\sstyle(\s*=\s*["'])/g, " data-style$1");
  const found = new DOMParser().parseFromString(text || "<none/>", "text/xml");
  return found.querySelector("parsererror") ? document.implementation.createDocument(null, "none") : found;
}

async function readJson(name) {
  try {
    return JSON.parse(await read(name));
  } catch {
    return null;
  }
}

function seconds(text) {
  const value = Number.parseFloat(text);
  return value >= 0 && value < LONGEST_S ? value : null;
}

/** Return the address of a file of this recording; null: it leads elsewhere. */
function own(reference) {
  try {
    const url = new URL(reference, base);
    return url.origin === base.origin && url.pathname.startsWith(base.pathname) ? url.href : null;
  } catch {
    return null;
  }
}

const byTime = (one, other) => one.at - other.at;

/** Return the index of the last entry that has begun; -1: none has. */
function currentIndex(entries, now) {
  let low = 0, high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (entries[middle].at <= now + 0.05) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// --- what the files say ----------------------------------------------------------------------------

function parseSlides(shapes, texts) {
  const images = [...shapes.documentElement.children].filter((one) => one.localName === "image");
  const slides = [];
  for (const image of images) {
    const reference = image.getAttributeNS(XLINK, "href") || image.getAttribute("href") || "";
    const src = reference && own(reference);
    if (!src) continue;
    const [width, height] = ["width", "height"].map((name) => Number.parseFloat(image.getAttribute(name)));
    const usable = width > 0 && height > 0 && width < 1e5 && height < 1e5;
    const path = /^presentation\/([^/]+)\/(?:[^/]+\/)*slide-?(\d{1,6})\.\w+$/.exec(reference);
    const text = path && texts?.[path[1]]?.[`slide-${path[2]}`];
    const one = {
      src,
      id: image.getAttribute("id"),
      isScreen: reference.startsWith("presentation/deskshare/"),
      size: usable ? [width, height] : [1600, 900],
      thumb: path ? own(`presentation/${path[1]}/thumbnails/thumb-${path[2]}.png`) : null,
      text: typeof text === "string" ? text.trim().slice(0, 2000) : "",
    };
    // Before BigBlueButton 2.0 an image had all of its times in one attribute.
    for (const at of (image.getAttribute("in") || "").trim().split(/\s+/).slice(0, MOST).map(seconds)) {
      if (at !== null) slides.push({...one, at});
    }
  }
  return slides.sort(byTime).slice(0, MOST);
}

function parseViews(panzooms) {
  const views = [];
  for (const event of panzooms.getElementsByTagName("event")) {
    const at = seconds(event.getAttribute("timestamp"));
    const box = (event.textContent || "").trim().split(/\s+/).map(Number.parseFloat);
    const usable = box.length === 4 && box.every((one) => Math.abs(one) < 1e5) && box[2] > 0 && box[3] > 0;
    if (at !== null && usable) views.push({at, box});
  }
  return views.sort(byTime);
}

function parsePointers(cursor) {
  const pointers = [];
  for (const event of cursor.getElementsByTagName("event")) {
    const at = seconds(event.getAttribute("timestamp"));
    const [x, y] = (event.textContent || "").trim().split(/\s+/).map(Number.parseFloat);
    if (at !== null) pointers.push({at, x, y, shown: x >= 0 && x < 1e5 && y >= 0 && y < 1e5});
  }
  return pointers.sort(byTime);
}

/** Whether a file has the units of tldraw (BigBlueButton 2.6 and later). */
const isTldraw = (file) => file.documentElement.getAttribute("tldraw") === "true";

function parseShares(deskshare, slides) {
  const shares = [];
  for (const event of deskshare.getElementsByTagName("event")) {
    const at = seconds(event.getAttribute("start_timestamp"));
    const end = seconds(event.getAttribute("stop_timestamp"));
    if (at !== null) shares.push({at, end: end ?? Infinity});
  }
  if (!shares.length) {
    slides.forEach((one, index) => {
      if (one.isScreen) shares.push({at: one.at, end: slides[index + 1]?.at ?? Infinity});
    });
  }
  return shares.sort(byTime);
}

/** Return the text of a chat message. BigBlueButton escapes it, and makes links of addresses. */
function plainText(message) {
  const entities = {quot: '"', apos: "'", lt: "<", gt: ">", nbsp: " ", amp: "&"};
  const codes = {34: '"', 39: "'", 60: "<", 62: ">", 38: "&"};
  return message
    .replace(/<a href="[^"]*"[^>]*>(?:<u>)?([^<]*)(?:<\/u>)?<\/a>/g, "$1")
    .replace(/<br\s*\/?>/g, "\n")
    .replace(/&(?:#(34|39|60|62|38)|(quot|apos|lt|gt|nbsp|amp));/g, (_all, code, name) => codes[code] ?? entities[name]);
}

function parseChat(popcorn) {
  const messages = [];
  for (const one of popcorn.getElementsByTagName("chattimeline")) {
    const at = seconds(one.getAttribute("in"));
    const text = plainText(one.getAttribute("message") || "").trim();
    if (at === null || !text) continue;
    messages.push({at, text: text.slice(0, 10000), name: (one.getAttribute("name") || "").slice(0, 200)});
  }
  return messages.sort(byTime).slice(0, MOST);
}

// --- elements ------------------------------------------------------------------------------------

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function clock(at) {
  const [hours, minutes, rest] = [Math.floor(at / 3600), Math.floor(at / 60) % 60, Math.floor(at % 60)];
  const end = `${String(minutes).padStart(hours ? 2 : 1, "0")}:${String(rest).padStart(2, "0")}`;
  return hours ? `${hours}:${end}` : end;
}

function slideEntry(one, index, go) {
  const item = make("li"), button = make("button"), thumb = make("span", "thumb"), what = make("span", "what");
  button.type = "button";
  const name = one.isScreen ? words.screen : words.slide.replace("{n}", index + 1);
  if (one.isScreen) {
    thumb.textContent = words.screen;
    thumb.ariaHidden = "true";
  } else {
    const image = make("img");
    image.loading = "lazy";
    image.alt = "";
    image.src = one.thumb ?? one.src;
    image.addEventListener("error", () => { image.src = one.src; }, {once: true});
    thumb.append(image);
  }
  what.append(make("span", "", name), make("span", "at", clock(one.at)));
  button.append(thumb, what);
  if (one.text) button.title = one.text.slice(0, 300);
  button.addEventListener("click", go);
  item.append(button);
  return item;
}

function chatEntry(one, go) {
  const item = make("li"), who = make("div", "who"), button = make("button", "at", clock(one.at)), text = make("p");
  button.type = "button";
  button.addEventListener("click", go);
  who.append(make("b", "", one.name), button);
  for (const part of one.text.split(/(https?:\/\/[^\s<>"]+)/)) {
    const link = /^https?:/.test(part) ? make("a", "", part) : null;
    if (link) Object.assign(link, {href: part, target: "_blank", rel: "noopener noreferrer nofollow"});
    text.append(link ?? part);
  }
  item.append(who, text);
  return item;
}

/** Mark the current entry of a list, and show it there unless somebody scrolls. */
class Follower {
  #list; #marked = -2; #touched = -Infinity;

  constructor(list) {
    this.#list = list;
    for (const name of ["wheel", "touchmove", "pointerdown", "keydown"]) {
      list.addEventListener(name, () => { this.#touched = performance.now(); }, {passive: true});
    }
  }

  show(index, marked, value) {
    if (index === this.#marked) return;
    marked(this.#list.children[this.#marked])?.removeAttribute("aria-current");
    this.#marked = index;
    const item = this.#list.children[index];
    marked(item)?.setAttribute("aria-current", value);
    if (!item || performance.now() - this.#touched < 5000) return;
    const list = this.#list;
    list.scrollTop = item.offsetTop - (list.clientHeight - item.offsetHeight) / 2;
    list.scrollLeft = item.offsetLeft - (list.clientWidth - item.offsetWidth) / 2;
  }
}

// --- media ---------------------------------------------------------------------------------------

/** Let a video take the first of several files that works. Whether one does. */
function load(video, names) {
  return new Promise((done) => {
    names.forEach((name, index) => {
      const source = make("source");
      source.src = new URL(name, base).href;
      source.type = name.startsWith("audio") ? `audio/${name.split(".").pop()}` : `video/${name.split(".").pop()}`;
      if (index === names.length - 1) source.addEventListener("error", () => done(false));
      video.append(source);
    });
    video.addEventListener("loadedmetadata", () => done(true), {once: true});
    video.addEventListener("error", () => done(false), {once: true});
    video.load();
  });
}

async function addCaptions() {
  const index = await readJson("captions.json");
  for (const one of Array.isArray(index) ? index.slice(0, 50) : []) {
    const locale = String(one?.locale ?? "");
    if (!/^[\w-]{1,60}$/.test(locale)) continue;
    const text = await read(`caption_${locale}.vtt`);
    if (!text.replace(/^\uFEFF/, "").startsWith("WEBVTT")) continue;
    const track = make("track");
    Object.assign(track, {kind: "captions", srclang: locale, label: String(one.localeName ?? locale).slice(0, 100)});
    // Read by script: the file itself may be at another host (S3_SERVE=redirect).
    track.src = URL.createObjectURL(new Blob([text], {type: "text/vtt"}));
    webcams.append(track);
  }
}

function toggleCaptions() {
  const tracks = [...webcams.textTracks];
  const shown = tracks.find((one) => one.mode === "showing");
  for (const one of tracks) one.mode = "disabled";
  if (!shown && tracks.length) {
    const language = navigator.language.slice(0, 2);
    (tracks.find((one) => one.language.startsWith(language)) ?? tracks[0]).mode = "showing";
  }
}

// --- the page --------------------------------------------------------------------------------------

class Page {
  hasSound = false; // whether there is a video or a sound that says what the time is
  #slides; #shares; #chat; #board; #now = 0; #shown = -2; #place = "";
  #inSlides = new Follower(slideList);
  #inChat = new Follower(chatList);

  /** `board`: what is on the slides, {drawings, views, pointers}, and the units of these two. */
  constructor(slides, shares, chat, board) {
    [this.#slides, this.#shares, this.#chat, this.#board] = [slides, shares, chat, board];
    slideList.append(...slides.map((one, index) => slideEntry(one, index, () => this.go(one.at))));
    chatList.append(...chat.map((one) => chatEntry(one, () => this.go(one.at))));
  }

  get now() {
    return this.hasSound ? webcams.currentTime : this.#now;
  }

  go(at) {
    this.#now = at;
    if (this.hasSound) webcams.currentTime = at;
    else this.show();
  }

  step(by) {
    const index = Math.max(0, currentIndex(this.#slides, this.now)) + by;
    if (this.#slides[index]) this.go(this.#slides[index].at);
  }

  show() {
    const now = this.now;
    // Before the first slide that one is shown: nothing would be a black page.
    const index = this.#slides.length ? Math.max(0, currentIndex(this.#slides, now)) : -1;
    if (index !== this.#shown) this.#showSlide(index);
    this.#board.drawings.show(this.#slides[index], now);
    this.#showView(this.#slides[index], now);
    this.#showScreen(now);
    this.#inSlides.show(index, (item) => item?.firstElementChild, "true");
    this.#inChat.show(currentIndex(this.#chat, now), (item) => item, "true");
  }

  #showSlide(index) {
    this.#shown = index;
    const one = this.#slides[index];
    if (!one) return;
    const [width, height] = one.size;
    for (const [name, value] of Object.entries({href: one.src, width, height})) picture.setAttribute(name, value);
    const place = words.of.replace("{n}", index + 1).replace("{total}", this.#slides.length);
    const name = this.#place = words.slide.replace("{n}", place);
    slide.setAttribute("aria-label", one.text ? `${name}: ${one.text}` : name);
    get("previous").disabled = index === 0;
    get("next").disabled = index === this.#slides.length - 1;
  }

  #showView(one, now) {
    if (!one) return;
    const {drawings, views, viewsOfTldraw} = this.#board, [width, height] = one.size, scale = drawings.scale(one.size);
    let [x, y, w, h] = views[currentIndex(views, now)]?.box ?? [0, 0, width, height];
    if (viewsOfTldraw) [x, y] = [-x / scale || 0, -y / scale || 0]; // where its camera moves the slide
    const inside = x < width && y < height && x + w > 0 && y + h > 0;
    const box = inside ? [x, y, w, h] : [0, 0, width, height];
    slide.setAttribute("viewBox", box.join(" "));
    this.#showPointer(box, scale, now);
  }

  #showPointer([x, y, width, height], scale, now) {
    const {pointers, pointersOfTldraw} = this.#board, one = pointers[currentIndex(pointers, now)];
    pointer.style.display = one?.shown ? "" : "none";
    if (!one?.shown) return;
    const [cx, cy] = pointersOfTldraw ? [one.x / scale, one.y / scale] : [x + one.x * width, y + one.y * height];
    for (const [name, value] of Object.entries({cx, cy, r: width / 160})) pointer.setAttribute(name, value);
  }

  #showScreen(now) {
    const shared = this.#shares.some((one) => one.at <= now + 0.05 && now < one.end);
    screen.hidden = !shared;
    get("position").textContent = shared ? words.screen : this.#place;
    slide.style.visibility = shared ? "hidden" : "";
    if (!shared || !this.hasSound) {
      if (!screen.paused) screen.pause();
    } else {
      if (Math.abs(screen.currentTime - now) > (webcams.paused ? 0.05 : 0.5)) screen.currentTime = now;
      screen.playbackRate = webcams.playbackRate;
      if (webcams.paused !== screen.paused) webcams.paused ? screen.pause() : screen.play().catch(() => {});
    }
    if (shared && !this.hasSound && screen.currentTime !== now) screen.currentTime = now;
  }

  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest?.("a")) return;
    const onButton = event.target.closest?.("button") && [" ", "Enter"].includes(event.key);
    const run = {
      " ": () => webcams.paused ? webcams.play() : webcams.pause(),
      k: () => webcams.paused ? webcams.play() : webcams.pause(),
      ArrowLeft: () => this.go(Math.max(0, this.now - 10)),
      ArrowRight: () => this.go(Math.min(webcams.duration || Infinity, this.now + 10)),
      p: () => this.step(-1),
      n: () => this.step(1),
      c: toggleCaptions,
      f: toggleFull,
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!run || onButton) return;
    event.preventDefault();
    event.stopPropagation(); // the browser's own controls of the video know some of the keys, too
    run();
  }
}

function toggleFull() {
  if (document.fullscreenElement) document.exitFullscreen();
  else get("stage").requestFullscreen?.();
}

/** Show the date in the viewer's time zone, and what only the files say. */
function showTitle(metadata) {
  const name = metadata.querySelector("meta > meetingName")?.textContent.trim();
  if (!words.titled && name) document.title = document.querySelector("h1").textContent = name;
  const began = new Date(get("began").dateTime || Number(metadata.querySelector("start_time")?.textContent));
  if (Number.isNaN(began.getTime()) || !began.getTime()) return;
  const options = {dateStyle: "full", timeStyle: "short"};
  get("began").textContent = began.toLocaleString(document.documentElement.lang, options);
}

/** Show a part of the page or not, and tell the layout. */
function place(name, there) {
  get(name).hidden = !there;
  parts.classList.toggle(`no-${name}`, !there);
}

async function start() {
  const names = ["shapes.svg", "panzooms.xml", "cursor.xml", "deskshare.xml", "slides_new.xml", "metadata.xml"];
  const [shapes, panzooms, cursor, deskshare, popcorn, metadata] = await Promise.all(names.map(readXml));
  showTitle(metadata);
  const slides = parseSlides(shapes, await readJson("presentation_text.json"));
  const ofTldraw = [panzooms, cursor].some(isTldraw) || slides.some((one) => one.src.includes("/svgs/"));
  const tldraw = ofTldraw ? await readJson("tldraw.json") : null;
  const shares = parseShares(deskshare, slides), chat = parseChat(popcorn);
  const page = new Page(slides, shares, chat, {
    drawings: new Drawings(get("drawn"), shapes, tldraw, own),
    views: parseViews(panzooms), viewsOfTldraw: isTldraw(panzooms),
    pointers: parsePointers(cursor), pointersOfTldraw: isTldraw(cursor),
  });
  const isStage = slides.length > 0 || shares.length > 0;
  place("stage", isStage);
  place("slides", slides.length > 0);
  place("chat", chat.length > 0);
  parts.hidden = false;
  page.show();
  for (const name of ["timeupdate", "seeking", "seeked", "play", "pause", "ratechange"]) {
    webcams.addEventListener(name, () => page.show());
  }
  document.addEventListener("keydown", (event) => page.press(event), {capture: true});
  get("previous").addEventListener("click", () => page.step(-1));
  get("next").addEventListener("click", () => page.step(1));
  get("full").addEventListener("click", toggleFull);
  const videos = ["video/webcams.webm", "video/webcams.mp4", "audio/audio.webm", "audio/audio.ogg"];
  page.hasSound = await load(webcams, videos);
  place("camera", page.hasSound);
  parts.hidden = !(page.hasSound || isStage || chat.length);
  get("failed").hidden = !parts.hidden;
  if (page.hasSound) {
    webcams.classList.toggle("sound", !webcams.videoWidth);
    await addCaptions();
  }
  if (shares.length) await load(screen, ["deskshare/deskshare.webm", "deskshare/deskshare.mp4"]);
  page.show();
  document.body.dataset.ready = "yes";
}

start();
